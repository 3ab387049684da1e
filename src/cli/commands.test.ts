import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { commands } from './commands.ts';
import { readCommandLine } from './frame/command-line.ts';
import { commonOptions } from './frame/common-options.ts';
import { grammarOf } from './frame/grammar.ts';
import { commandList, helpText, usualOptions } from './frame/help.ts';
import { flagsOf, type OptionSpec } from './frame/option.ts';
import { settleOptions } from './frame/settings.ts';

const loaded = await Promise.all(
  commands.map(async (entry) => ({ entry, command: await entry.load() })),
);
const names = loaded.flatMap(({ entry, command }) =>
  [entry.name, ...(entry.aliases ?? [])].map((name) => ({
    name,
    command,
    grammar: grammarOf(entry, command, name),
  })),
);

/** Every option of every command, with its letter. */
const options = loaded.flatMap(({ entry, command }) =>
  command.options.map((option) => ({ name: entry.name, option, ...flagsOf(option) })),
);

test('files to write are never those of a recording', () => {
  const read = ['load', 'known-places', 'perf', 'stdin', 'tls-ca', 'input-sets', 'use-weights'];
  const folder = mkdtempSync(join(tmpdir(), 'wayward-commands-'));
  try {
    const info = join(folder, 'info.txt');
    writeFileSync(info, 'program\n');
    for (const { name, option, word, value } of options) {
      if (value !== 'file' || read.includes(word)) continue;
      if (name === 'guard' && word === 'profile') continue;
      expect(option.parse?.(info), `${name} --${word}`).toHaveProperty('problem');
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe('letters', () => {
  test('have one meaning in all commands', () => {
    const meanings = new Map<string, Set<string>>([
      ['h', new Set(['help'])],
      ['V', new Set(['version'])],
    ]);
    for (const option of commonOptions) {
      const { letter, word } = flagsOf(option);
      if (letter !== undefined) meanings.set(letter, new Set([word]));
    }
    for (const { letter, word } of options) {
      if (letter === undefined) continue;
      meanings.set(letter, (meanings.get(letter) ?? new Set()).add(word));
    }
    for (const [letter, words] of meanings) expect([...words], `-${letter}`).toHaveLength(1);
    expect([...(meanings.get('t') ?? [])]).toEqual(['timeout']);
    expect([...(meanings.get('j') ?? [])]).toEqual(['jobs']);
    expect([...(meanings.get('o') ?? [])]).toEqual(['out']);
  });

  test('stand wherever their word stands', () => {
    const letterOf = new Map(
      options.flatMap(({ word, letter }) => (letter === undefined ? [] : [[word, letter]])),
    );
    for (const { name, word, letter } of options) {
      expect(letter, `${name} --${word}`).toBe(letterOf.get(word));
    }
  });

  test("of the ancestor's names stand for options that there are, and for other ones than ours", () => {
    for (const { entry, command } of loaded) {
      const ancestors = Object.entries(command.ancestor ?? {});
      for (const [name, { letters = {} }] of ancestors) {
        const { byLetter } = grammarOf(entry, command, name);
        for (const [letter, word] of Object.entries(letters)) {
          const option = byLetter.get(letter);
          expect(option && flagsOf(option).word, `${name} -${letter}`).toBe(word);
        }
      }
      const own = ancestors.map(([name]) => name).filter((name) => name !== entry.name);
      expect(own, entry.name).toEqual(entry.aliases ?? []);
    }
  });
});

describe('options', () => {
  test('a word is read alike in all commands: with a value or without', () => {
    const takesValue = new Map<string, boolean>();
    for (const { name, key, value } of options) {
      const takes = value !== undefined;
      expect(takesValue.get(key) ?? takes, `${name} ${key}`).toBe(takes);
      takesValue.set(key, takes);
    }
  });

  test('defaults are what a user could have said', () => {
    for (const { name, option, word } of options) {
      const { default: value, parse } = option;
      if (parse === undefined || value === undefined || option.shown !== undefined) continue;
      const said = Array.isArray(value) ? value.join(',') : String(value);
      if (said !== '') expect('value' in parse(said), `${name} --${word} ${said}`).toBe(true);
    }
  });

  test('help shows a dozen of them, and the whole help text every one', () => {
    for (const { name, command, grammar } of names) {
      const words = grammar.options.map((option) => flagsOf(option).word);
      for (const word of command.usual ?? []) expect(words, `${name} --${word}`).toContain(word);
      const usual = usualOptions(grammar, command);
      const all = helpText(grammar, command, true, 80);
      const some = helpText(grammar, command, false, 80);
      const own = usual.filter((option) => !commonOptions.includes(option));
      expect(own.length, name).toBeLessThanOrEqual(14);
      for (const word of words) expect(all, name).toMatch(new RegExp(`--${word}\\b`));
      for (const option of usual) expect(some).toContain(`--${flagsOf(option).word}`);
      for (const line of all.split('\n')) {
        if (!/^( {2}wayward| {2}perf| {6})/.test(line)) expect(line.length, line).toBeLessThan(101);
      }
    }
  });
});

test('every example is a command line that its command takes', () => {
  for (const { entry, command } of loaded) {
    const own = command.examples.filter(([line]) => line.startsWith('wayward '));
    expect(own.length, entry.name).toBeGreaterThan(0);
    for (const [line] of own) {
      // What the shell does with the output is no word of ours.
      const [, name, ...words] = line.replace(/ >>? .*/, '').split(/ +/);
      const found = names.find((each) => each.name === name);
      expect(found, line).toBeDefined();
      if (found === undefined) continue;
      const read = readCommandLine(found.grammar, words);
      expect(read.problems, line).toEqual([]);
      const problems: string[] = [];
      const said: ReadonlyMap<OptionSpec, readonly (string | true)[]> = read.said;
      const nothing = { environment: {}, configured: {}, defaults: {} };
      settleOptions(found.grammar.options, { said, ...nothing }, problems);
      expect(problems, line).toEqual([]);
    }
  }
});

test('the list of commands has each of them, with the names of the ancestor', () => {
  const list = commandList(commands, 80);
  for (const { entry } of loaded) {
    for (const name of [entry.name, ...(entry.aliases ?? [])]) {
      expect(list).toMatch(new RegExp(`\\b${name}\\b`));
    }
  }
});
