import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { learn } from '../src/commands/learn.ts';
import { writeTinyCorpus } from './tiny-corpus.ts';
import { type Ended, wayward } from './wayward.ts';

const nominal = writeTinyCorpus(20, 0);
const mixed = writeTinyCorpus(2, 2);
const out = mkdtempSync(join(tmpdir(), 'wayward-judge-'));
afterAll(() => {
  for (const folder of [nominal, mixed, out]) rmSync(folder, { recursive: true, force: true });
});

let profile = '';
beforeAll(async () => {
  const learned = await learn({ root: nominal, preprocessed: true, workers: 1, out });
  profile = learned.profile ?? '';
});

const judged = (...words: string[]): Promise<Ended> =>
  wayward(['judge', profile, '-p', '-j', '1', '--out', out, ...words]);
const [harmless, attack] = [join(mixed, 'b000'), join(mixed, 'm000')];
const gone = join(out, 'gone');

describe('judge --exit-code ends with', () => {
  test.each([
    ['0 where nothing strayed', [harmless], 0],
    ['10 where something did', [harmless, attack], 10],
    ['5 where one was left out, which may be the one', [harmless, gone], 5],
    ['10 where both happened', [attack, gone], 10],
    ['5 where nothing was judged', [gone], 5],
  ])('%s', async (_, samples, code) => {
    expect((await judged(...samples, '--exit-code')).status).toBe(code);
  });

  test('the same of a folder that is watched', async () => {
    const watched = async (name: string, samples: readonly string[]): Promise<number> => {
      const folder = join(out, name);
      mkdirSync(folder);
      for (const sample of samples)
        cpSync(sample, join(folder, sample.slice(-4)), { recursive: true });
      if (name === 'damaged') writeFileSync(join(folder, 'b000', 'trace_parsed.gz'), 'no trace');
      const words = ['--watch', folder, '--once', '--settle', '0', '--exit-code'];
      return (await judged(...words)).status;
    };
    expect(await watched('harmless', [harmless])).toBe(0);
    expect(await watched('strayed', [harmless, attack])).toBe(10);
    expect(await watched('damaged', [harmless])).toBe(5);
  });

  test('0 of what was left out, where nobody asked', async () => {
    expect((await judged(harmless, gone)).status).toBe(0);
  });
});

test('judge writes a table of what it judged, as classify does of the run', async () => {
  const [csv, again] = [join(out, 'judged.csv'), join(out, 'classified.csv')];
  const { stdout } = await judged(mixed, '--csv', csv);
  const run = /^Run {3}(.*)$/m.exec(stdout)?.[1] ?? '';
  await wayward(['classify', run, '--csv', again]);
  const lines = (file: string): string[] => readFileSync(file, 'utf8').trim().split('\r\n');
  const [head, ...rows] = lines(csv);
  expect(rows.map((row) => row.split(',')[0]).sort()).toEqual(readdirSync(mixed).sort());
  const [sameHead, ...all] = lines(again);
  expect(head).toBe(sameHead);
  // What calibrates belongs to the profile, and not to what was judged.
  const role = head?.split(',').indexOf('role') ?? -1;
  expect(rows).toEqual(all.filter((row) => row.split(',')[role] === 'test'));
});

test('a judge that judges nothing leaves no folder', async () => {
  const nowhere = join(out, 'nothing');
  const { status, stderr } = await judged(gone, '--out', nowhere);
  expect([status, stderr]).toEqual([5, expect.stringContaining('there is no such folder')]);
  const empty = join(out, 'empty');
  cpSync(harmless, empty, { recursive: true });
  rmSync(join(empty, 'trace_parsed.gz'));
  const { stderr: why } = await judged(empty, '--out', nowhere);
  expect(why).toContain('none of the paths holds a sample');
  expect(existsSync(join(nowhere, 'runs')) ? readdirSync(join(nowhere, 'runs')) : []).toEqual([]);
});
