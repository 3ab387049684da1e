import { assert } from '../../base/errors.ts';
import type { AncestorName, Argument, Command, CommandEntry } from './command.ts';
import { commonOptions } from './common-options.ts';
import { flagsOf, type OptionSpec } from './option.ts';

/** What the words of a command line mean under one name of a command. */
export interface Grammar {
  readonly entry: Omit<CommandEntry, 'load'>;
  /** The name that was typed: the command's own, or an alias. */
  readonly name: string;
  readonly args: readonly Argument[];
  readonly options: readonly OptionSpec[];
  readonly byLetter: ReadonlyMap<string, OptionSpec>;
  readonly byWord: ReadonlyMap<string, OptionSpec>;
  readonly ancestor: AncestorName | undefined;
  /** Whether what stands behind `--` is a command line of its own. */
  readonly takesProgram: boolean;
}

export function grammarOf(
  entry: Omit<CommandEntry, 'load'>,
  { args, options: own, ancestor: ancestors }: Command,
  name: string = entry.name,
): Grammar {
  const options = [...own, ...commonOptions];
  const byLetter = new Map<string, OptionSpec>();
  const byWord = new Map<string, OptionSpec>();
  const put = (map: Map<string, OptionSpec>, key: string, option: OptionSpec): void => {
    assert(!map.has(key), `${entry.name}: "${key}" stands for one option`);
    map.set(key, option);
  };
  for (const option of options) {
    const { letter, word } = flagsOf(option);
    if (letter !== undefined) put(byLetter, letter, option);
    for (const each of [word, ...(option.synonyms ?? [])]) put(byWord, each, option);
  }
  const ancestor = ancestors?.[name];
  const meant = (word: string): OptionSpec => {
    const option = byWord.get(word);
    assert(option !== undefined, `${name}: "${word}" is an option of ${entry.name}`);
    return option;
  };
  // The ancestor's letters go before ours, its words behind.
  for (const [letter, word] of Object.entries(ancestor?.letters ?? {}))
    byLetter.set(letter, meant(word));
  for (const [old, word] of Object.entries(ancestor?.words ?? {})) put(byWord, old, meant(word));
  return {
    ...{ entry, name, options, byLetter, byWord, ancestor },
    args: [...args, ...(ancestor?.args ?? [])],
    takesProgram: args.some(([syntax]) => /program/.test(syntax)),
  };
}
