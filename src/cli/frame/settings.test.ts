import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { choices, decimal, integer, text } from '../../base/options/option.ts';
import { type Command, defineCommand } from './command.ts';
import { readCommandLine } from './command-line.ts';
import { type CommonOptions, commonOptions, levelOf } from './common-options.ts';
import { problemsOfOthers, readConfig } from './config-file.ts';
import { grammarOf } from './grammar.ts';
import { settleOptions } from './settings.ts';

const command: Command = defineCommand({
  args: [],
  options: [
    { flags: '--fpr <rate>', help: 'rate', parse: decimal(0, 1), default: 0.05 },
    { flags: '-j, --jobs <n>', help: 'jobs', parse: integer(1) },
    { flags: '--bin-dir <dir>', help: 'folders', parse: text, repeats: true, default: [] },
    { flags: '--exact', help: 'exact' },
    { flags: '--filter <list>', help: 'kinds', parse: choices('ret', 'icall', 'ijmp') },
    { flags: '--no-partial', help: 'whole' },
    { flags: '--queue <url>', help: 'secret', parse: integer(1), isSecret: true },
  ],
  ancestor: { old: { script: 'old.py', defaults: { jobs: 7 } } },
  examples: [],
  run: async () => 0,
});
const entry = { name: 'judge', aliases: ['old'], group: 'G', summary: 'Judges' };

interface Places {
  readonly words?: readonly string[];
  readonly environment?: Record<string, string>;
  readonly configured?: Record<string, unknown>;
  readonly name?: string;
}

function settle({ words = [], environment = {}, configured = {}, name = 'judge' }: Places) {
  const grammar = grammarOf(entry, command, name);
  const problems: string[] = [];
  const { said } = readCommandLine(grammar, words);
  const defaults = grammar.ancestor?.defaults ?? {};
  const options = settleOptions(
    grammar.options,
    { said, environment, configured, defaults },
    problems,
  );
  return { options, problems };
}

test('the command line goes before the environment, that before the file, that before defaults', () => {
  const configured = { fpr: 0.3, jobs: 3, exact: true };
  const environment = { WAYWARD_FPR: '0.2', WAYWARD_JOBS: '2' };
  const words = ['--fpr', '0.1'];
  expect(settle({ words, environment, configured }).options).toMatchObject({
    ...{ fpr: 0.1, jobs: 2, exact: true, partial: true, binDir: [], progress: true },
  });
  expect(settle({ name: 'old' }).options).toMatchObject({ fpr: 0.05, jobs: 7, exact: false });
  expect(settle({ name: 'old', configured }).options).toMatchObject({ jobs: 3 });
});

test('flags are turned off and on by all three', () => {
  expect(settle({ words: ['--no-partial', '--exact'] }).options).toMatchObject({
    ...{ partial: false, exact: true },
  });
  const environment = { WAYWARD_PARTIAL: 'no', WAYWARD_EXACT: '1', WAYWARD_PROGRESS: '0' };
  expect(settle({ environment }).options).toMatchObject({
    ...{ partial: false, exact: true, progress: false },
  });
  expect(settle({ configured: { partial: false } }).options).toMatchObject({ partial: false });
});

test('what may be given again is a list everywhere', () => {
  expect(settle({ words: ['--bin-dir', 'a', '--bin-dir=b'] }).options.binDir).toEqual(['a', 'b']);
  expect(settle({ environment: { WAYWARD_BIN_DIR: 'a' } }).options.binDir).toEqual(['a']);
  expect(settle({ configured: { binDir: ['a', 'b'] } }).options.binDir).toEqual(['a', 'b']);
  expect(settle({ configured: { filter: ['ijmp', 'ret'] } }).options.filter).toEqual([
    ...['ret', 'ijmp'],
  ]);
  expect(settle({ words: ['--fpr', '0.1', '--fpr', '0.2'] }).options.fpr).toBe(0.2);
});

test('what is wrong is told with where it was said, secrets apart', () => {
  const { problems } = settle({
    words: ['--fpr', '7', '--queue', 'hidden'],
    environment: { WAYWARD_JOBS: 'many', WAYWARD_JSON: 'perhaps' },
    configured: { exact: 'perhaps' },
  });
  expect(problems).toEqual([
    '--fpr takes a number from 0 to 1, not "7"',
    'WAYWARD_JOBS takes a whole number of at least 1, not "many"',
    'wayward.config.json: exact takes yes or no, not "perhaps"',
    '--queue takes a whole number of at least 1',
    'WAYWARD_JSON takes yes or no, not "perhaps"',
  ]);
});

test('names of things that every object has are no settings', () => {
  expect(settle({ configured: JSON.parse('{"__proto__": {"fpr": 1}}') }).problems).toEqual([]);
});

test('what nobody could have typed is told, not taken for a text', () => {
  const deep: unknown = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
  for (const value of [null, {}, { toString: 1 }, [null], [[1]], deep, true]) {
    const { options, problems } = settle({ configured: { jobs: value } });
    expect(problems).toEqual(['wayward.config.json: jobs must be a text or a number']);
    expect(options.jobs).toBeUndefined();
  }
  expect(settle({ configured: { exact: {}, binDir: ['a', {}] } }).problems).toEqual([
    'wayward.config.json: binDir must be a text or a number, or a list of them',
    'wayward.config.json: exact must be true or false',
  ]);
  expect(settle({ configured: { binDir: ['a', 'b\0c'] } }).problems).toEqual([
    'wayward.config.json: binDir holds a NUL character, not "b\\u0000c"',
  ]);
});

test('what comes from the environment is told in one line', () => {
  const { problems } = settle({
    environment: { WAYWARD_JOBS: '2\nwayward: all is well\u001b[31m' },
  });
  expect(problems).toEqual([
    'WAYWARD_JOBS takes a whole number of at least 1, not "2\\nwayward: all is well\\u001b[31m"',
  ]);
});

describe('wayward.config.json', () => {
  const before = process.cwd();
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'wayward-test-'));
    process.chdir(folder);
  });
  afterEach(() => {
    process.chdir(before);
    rmSync(folder, { recursive: true });
  });
  const config = (content: string) => {
    writeFileSync('wayward.config.json', content);
    const problems: string[] = [];
    return { ...readConfig(grammarOf(entry, command), problems), problems };
  };

  test('a section goes before what holds for all commands', () => {
    const { values, others } = config('\uFEFF{"fpr": 0.1, "jobs": 2, "judge": {"fpr": 0.2}}');
    expect(values).toMatchObject({ fpr: 0.2, jobs: 2 });
    expect(others).toEqual([]);
  });

  test.each([
    ['{"judge": {"fqr": 1}}', 'there is no option judge.fqr; did you mean fpr?'],
    ['{"judge": 3}', 'judge must hold an object'],
    ['[1]', 'must hold one JSON object'],
    ['{"fpr": ', 'is no JSON'],
  ])('%s is told', (content, problem) => {
    expect(config(content).problems.join()).toContain(problem);
  });

  test('keys of other commands are left alone, those of none are told', () => {
    const { others, problems } = config('{"$schema": "x", "epochs": 3, "epoch": 4, "judge": {}}');
    expect(problems).toEqual([]);
    expect(others).toEqual(['$schema', 'epochs', 'epoch']);
    const learn: Command = { ...command, options: [{ flags: '--epochs <n>', help: 'epochs' }] };
    const commands = [
      { ...entry, command },
      { ...entry, name: 'learn', command: learn },
    ];
    expect(problemsOfOthers(others, commands)).toEqual([
      'wayward.config.json: there is no option epoch; did you mean epochs?',
    ]);
  });

  test('a key of a megabyte, or with a line break, is one short line, told at once', () => {
    const keys = ['x'.repeat(1e6), 'a\nwayward: all is well\u001b[31m'];
    const began = process.cpuUsage();
    const told = problemsOfOthers(keys, [{ ...entry, command }]);
    expect(process.cpuUsage(began).user).toBeLessThan(2e6);
    expect(told).toEqual([
      `wayward.config.json: there is no option ${'x'.repeat(57)}...`,
      'wayward.config.json: there is no option a\\nwayward: all is well\\u001b[31m',
    ]);
  });

  test('that is a pipe, a folder or huge is not waited for', () => {
    const told = (): string => {
      const problems: string[] = [];
      readConfig(grammarOf(entry, command), problems);
      return problems.join();
    };
    execFileSync('mkfifo', ['wayward.config.json']);
    expect(told()).toContain('is no file');
    rmSync('wayward.config.json');
    mkdirSync('wayward.config.json');
    expect(told()).toContain('is no file');
    rmSync('wayward.config.json', { recursive: true });
    expect(config(`{"fpr": 1${' '.repeat(2 ** 20)}}`).problems.join()).toContain('more than 1 MB');
    expect(config('{"fpr": 0.1,\r\n"jobs": 2}\r\n').values).toEqual({ fpr: 0.1, jobs: 2 });
  });

  test('there need be none', () => {
    const problems: string[] = [];
    expect(readConfig(grammarOf(entry, command), problems).values).toEqual({});
    expect(problems).toEqual([]);
  });
});

test.each([
  [{}, 20],
  [{ quiet: true }, 30],
  [{ verbose: true }, 10],
  [{ logLevel: 40 }, 40],
])('%j shows lines from level %d on', (said, level) => {
  const none = { json: false, quiet: false, verbose: false, progress: true };
  const common: CommonOptions = { ...none, logLevel: 20, statusInterval: 1, ...said };
  expect(levelOf(common, [])).toBe(level);
  expect(commonOptions).toHaveLength(6);
});

test('--quiet and --verbose contradict each other', () => {
  const problems: string[] = [];
  const both = { json: false, quiet: true, verbose: true, progress: true };
  levelOf({ ...both, logLevel: 20, statusInterval: 1 }, problems);
  expect(problems).toHaveLength(1);
});
