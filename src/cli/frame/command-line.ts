import { nearest } from '../../base/options/option.ts';
import { shorten } from '../../base/text/format.ts';
import type { Grammar } from './grammar.ts';
import { flagsOf, type OptionSpec } from './option.ts';

/** What a command line says, before anything is made of it. */
export interface CommandLine {
  /** What was said of each option, in order; `true` for a flag without a value. */
  readonly said: ReadonlyMap<OptionSpec, readonly (string | true)[]>;
  readonly args: readonly string[];
  /** The text that was asked for instead of the command. */
  readonly asks: 'help' | 'help-all' | 'version' | undefined;
  /** Everything that is wrong with the words, a sentence each. */
  readonly problems: readonly string[];
  /** What was said that has nothing to do here, a sentence each. */
  readonly notes: readonly string[];
}

const questions: Readonly<Record<string, NonNullable<CommandLine['asks']>>> = {
  '-h': 'help',
  '--help': 'help',
  '--help-all': 'help-all',
  '-V': 'version',
  '--version': 'version',
};

/**
 * Reads the words behind a command's name, as GNU programs do: options and arguments in any order,
 * `--word value` and `--word=value`, `-x value` and `-xvalue`, letters without values in one word,
 * `--` before what is no option, whatever it looks like.
 */
export function readCommandLine(grammar: Grammar, words: readonly string[]): CommandLine {
  const reading = new Reading(grammar, words);
  while (reading.hasMore) reading.next();
  return reading.finish();
}

class Reading {
  readonly #grammar: Grammar;
  readonly #words: readonly string[];
  #at = 0;
  readonly #said = new Map<OptionSpec, (string | true)[]>();
  readonly #args: string[] = [];
  readonly #problems: string[] = [];
  readonly #notes: string[] = [];
  #asks: CommandLine['asks'];

  constructor(grammar: Grammar, words: readonly string[]) {
    this.#grammar = grammar;
    this.#words = words;
  }

  get hasMore(): boolean {
    return this.#at < this.#words.length;
  }

  next(): void {
    const word = this.#words[this.#at++];
    if (word === '--') {
      this.#args.push(...this.#words.slice(this.#at));
      this.#at = this.#words.length;
    } else if (Object.hasOwn(questions, word)) this.#asks ??= questions[word];
    else if (/^--[a-zA-Z]/.test(word)) this.#readWord(word);
    else if (/^-[a-zA-Z]/.test(word)) this.#readLetters(word);
    else this.#args.push(word);
  }

  finish(): CommandLine {
    const { args: places, takesProgram, name } = this.#grammar;
    const problems = [...this.#problems];
    const most = places.some(([syntax]) => syntax.includes('...')) ? Infinity : places.length;
    const needed = places.filter(([syntax]) => syntax.startsWith('<'));
    const missing = needed[this.#args.length];
    if (problems.length > 0 && takesProgram && !this.#words.includes('--')) {
      problems.push(
        `what belongs to the program stands behind "--": wayward ${name} -- PROGRAM ...`,
      );
    } else if (problems.length === 0 && this.#args.length > most) {
      problems.push(`there is no place for "${shorten(this.#args[most] ?? '')}"`);
    } else if (problems.length === 0 && missing !== undefined) {
      const [syntax, help] = missing;
      problems.push(`${name} needs ${syntax}: ${help}`);
    }
    return {
      said: this.#said,
      args: this.#args,
      asks: this.#asks,
      problems,
      notes: this.#notes,
    };
  }

  /** `--word`, `--word=value`, `--word value`. */
  #readWord(text: string): void {
    const [word = '', ...rest] = text.slice(2).split('=');
    const value = rest.length > 0 ? rest.join('=') : undefined;
    const option = this.#grammar.byWord.get(word);
    if (option !== undefined) this.#take(option, `--${word}`, value);
    else if (!this.#passOver(`--${word}`, value)) this.#unknown(`--${word}`);
  }

  /** `-x`, `-xvalue`, `-x=value`, `-x value`, `-xyz` where x and y take no value. */
  #readLetters(text: string): void {
    for (let at = 1; at < text.length; at++) {
      const letter = text[at];
      const rest = text.slice(at + 1).replace(/^=/, '');
      const value = rest === '' ? undefined : rest;
      const option = this.#grammar.byLetter.get(letter);
      if (option === undefined) {
        if (!this.#passOver(`-${letter}`, value)) this.#unknown(at === 1 ? text : `-${letter}`);
        return;
      }
      const takesValue = flagsOf(option).value !== undefined;
      this.#take(option, `-${letter}`, takesValue ? value : undefined);
      if (takesValue) return;
    }
  }

  #take(option: OptionSpec, flag: string, given: string | undefined): void {
    const { value: named } = flagsOf(option);
    const before = this.#said.get(option) ?? [];
    if (named === undefined) {
      if (given === undefined) this.#said.set(option, [...before, true]);
      else this.#problems.push(`${flag} takes no value`);
      return;
    }
    const value = given ?? this.#nextValue();
    if (value === undefined) this.#problems.push(`${flag} needs a value: ${flag} <${named}>`);
    else this.#said.set(option, [...before, value]);
  }

  /** The next word, unless it is an option of ours itself. */
  #nextValue(): string | undefined {
    const next = this.#words[this.#at];
    if (next === undefined || next === '--' || Object.hasOwn(questions, next)) return undefined;
    if (next.startsWith('--') && this.#grammar.byWord.has(next.slice(2).replace(/=.*/, '')))
      return undefined;
    this.#at++;
    return next;
  }

  /** @returns whether it is a flag of the ancestor that has nothing to do here */
  #passOver(flag: string, given: string | undefined): boolean {
    const moot = Object.entries(this.#grammar.ancestor?.moot ?? {});
    const found = moot.find(
      ([word, { letter }]) => flag === `--${word}` || flag === `-${letter ?? '-'}`,
    );
    if (found === undefined) return false;
    const [, { takesValue, advice }] = found;
    if (takesValue && given === undefined) this.#nextValue();
    this.#notes.push(`${flag} has nothing to do here: ${advice}`);
    return true;
  }

  #unknown(flag: string): void {
    const words = [...this.#grammar.byWord.keys()].map((word) => `--${word}`);
    const near = flag.startsWith('--') ? nearest(flag, words) : undefined;
    const advice = near === undefined ? '' : `; did you mean ${near}?`;
    this.#problems.push(`there is no option ${shorten(flag)}${advice}`);
  }
}
