import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { integer, text } from '../../base/options/option.ts';
import { type AncestorName, type Command, defineCommand } from './command.ts';
import { type CommandLine, readCommandLine } from './command-line.ts';
import { grammarOf } from './grammar.ts';
import { flagsOf } from './option.ts';

const ancestor: AncestorName = {
  script: 'old.py',
  letters: { t: 'jobs', l: 'load' },
  words: { threads: 'jobs' },
  moot: {
    gpu: { takesValue: false, advice: 'use --device' },
    nu: { takesValue: true, letter: 'n', advice: 'use --fpr' },
  },
  args: [['[bin]', 'binaries']],
};
const command: Command = defineCommand({
  args: [['<root>', 'folder of samples']],
  options: [
    { flags: '-o, --out <dir>', synonyms: ['output'], help: 'output', parse: text },
    { flags: '-j, --jobs <n>', help: 'jobs', parse: integer(1) },
    { flags: '-t, --timeout <seconds>', help: 'time', parse: integer(1) },
    { flags: '--load <file>', help: 'file', parse: text },
    { flags: '-p, --preprocessed', help: 'stored' },
    { flags: '-x, --exact', help: 'exact' },
    { flags: '--no-partial', help: 'none with gaps' },
  ],
  ancestor: { old: ancestor },
  examples: [],
  run: async () => 0,
});
const entry = { name: 'new', aliases: ['old'], group: 'G', summary: 'Does' };
const grammar = grammarOf(entry, command);
const read = (...words: string[]): CommandLine => readCommandLine(grammar, words);
const readOld = (...words: string[]): CommandLine =>
  readCommandLine(grammarOf(entry, command, 'old'), words);

function said(line: CommandLine): Record<string, readonly (string | true)[]> {
  return Object.fromEntries(
    [...line.said].map(([option, values]) => [flagsOf(option).word, values]),
  );
}

describe('options', () => {
  test.each([
    [['-o', 'a', 'r']],
    [['-oa', 'r']],
    [['-o=a', 'r']],
    [['--out', 'a', 'r']],
    [['--out=a', 'r']],
    [['--output=a', 'r']],
    [['r', '--output', 'a']],
  ])('%j is read', (words) => {
    const line = read(...words);
    expect(line).toMatchObject({ args: ['r'], problems: [], notes: [] });
    expect(said(line)).toEqual({ out: ['a'] });
  });

  test('letters without values may share a word, and the last may take one', () => {
    expect(said(read('-pxj4', 'r'))).toEqual({ preprocessed: [true], exact: [true], jobs: ['4'] });
    expect(said(read('-px', '--no-partial', 'r'))).toMatchObject({ 'no-partial': [true] });
  });

  test('values may look like numbers below zero, and hold equals signs', () => {
    expect(said(read('r', '-j', '-4', '--out', 'a=b=c'))).toEqual({ jobs: ['-4'], out: ['a=b=c'] });
  });

  test('every occurrence is kept', () => {
    expect(said(read('r', '-oa', '--out', 'b'))).toEqual({ out: ['a', 'b'] });
  });
});

describe('what is wrong', () => {
  test.each([
    [['--oot', 'a', 'r'], 'there is no option --oot; did you mean --out?'],
    [['--out'], '--out needs a value: --out <dir>'],
    [['--out', '--jobs', '2'], '--out needs a value: --out <dir>'],
    [['-o', '--', 'r'], '-o needs a value: -o <dir>'],
    [['--exact=yes', 'r'], '--exact takes no value'],
    [['-q', 'r'], 'there is no option -q'],
    [['-pq', 'r'], 'there is no option -q'],
    [[], 'new needs <root>: folder of samples'],
    [['a', 'b'], 'there is no place for "b"'],
    [['r', '--gpu'], 'there is no option --gpu'],
  ])('%j', (words, problem) => {
    expect(read(...words).problems).toContain(problem);
  });

  test('everything is told at once', () => {
    expect(read('--oot', '-q', '--exact=1', '--jobs').problems).toHaveLength(4);
  });
});

test('what stands behind -- is never an option', () => {
  expect(read('--', '--out')).toMatchObject({ args: ['--out'], problems: [] });
  expect(read('--exact', '--', '-x', '--', '-p').args).toEqual(['-x', '--', '-p']);
});

test.each([
  [['-h'], 'help'],
  [['--help-all', '--nonsense'], 'help-all'],
  [['r', '-V'], 'version'],
  [['--', '-h'], undefined],
])('%j asks for %s', (words, asks) => {
  expect(read(...words).asks).toBe(asks);
});

describe("under the ancestor's name", () => {
  test('its letters go before ours, its words beside them', () => {
    expect(said(readOld('r', '-t4', '-l', 'svm'))).toEqual({ jobs: ['4'], load: ['svm'] });
    expect(said(readOld('r', '--threads', '2'))).toEqual({ jobs: ['2'] });
    expect(read('r', '--threads', '2').problems).toHaveLength(1);
    expect(said(readOld('r', '--timeout', '3'))).toEqual({ timeout: ['3'] });
  });

  test('flags that have nothing to do here are passed over, and told', () => {
    const line = readOld('--gpu', 'r', '-n', '0.5', '--nu=2', 'bin');
    expect(line).toMatchObject({ args: ['r', 'bin'], problems: [] });
    expect(line.notes).toEqual([
      '--gpu has nothing to do here: use --device',
      '-n has nothing to do here: use --fpr',
      '--nu has nothing to do here: use --fpr',
    ]);
  });
});

test('any words end in a result: each is an argument, part of an option, or told', () => {
  const word = fc.oneof(
    fc.constantFrom('--', '-', '-o', '--out', '--out=', '-t', '--no-partial', '-h', '__proto__'),
    fc.string(),
    fc.string().map((tail) => `--${tail}`),
    fc.string().map((tail) => `-${tail}`),
  );
  fc.assert(
    fc.property(fc.array(word), (words) => {
      for (const line of [read(...words), readOld(...words)]) {
        const given = [...line.said.values()].flat().length;
        const told = line.problems.length + line.notes.length + (line.asks === undefined ? 0 : 1);
        const dashes = words.includes('--') ? 1 : 0;
        if (words.length > 0) expect(given + line.args.length + told + dashes).toBeGreaterThan(0);
        for (const problem of line.problems) expect(problem.length).toBeLessThan(300);
      }
    }),
    { seed: 1 },
  );
});
