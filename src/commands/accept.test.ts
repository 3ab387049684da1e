import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyCorpus } from '../../test/tiny-corpus.ts';
import { unpackedProfile } from '../../test/unpacked-profile.ts';
import { silentLogger } from '../base/log.ts';
import { writeSets } from '../trace/sets-file.ts';
import { accept } from './accept.ts';
import { judge } from './judge.ts';
import { type LearnResult, learn } from './learn.ts';
import { packFiles } from './profile/archive.ts';
import { nextPath } from './profile/next-path.ts';
import { openProfile } from './profile/profile.ts';

const mixed = writeTinyCorpus(22, 1);
const out = mkdtempSync(join(tmpdir(), 'wayward-accept-test-'));
afterAll(() => {
  for (const folder of [mixed, out]) rmSync(folder, { recursive: true, force: true });
});

const quiet = { log: silentLogger, progress: () => {} };
const at = (name: string): string => join(out, name);
const benign = readdirSync(mixed).filter((name) => name.startsWith('b'));
const [known, later] = [benign.slice(0, 20), benign.slice(20)];
const folders = (names: readonly string[]): string[] => names.map((name) => join(mixed, name));

async function learnFrom(names: readonly string[]): Promise<LearnResult> {
  const sets = at(`${names.length}.txt`);
  const none = { calibrate: [], testNominal: [], testAnomalous: [] };
  await writeSets(sets, { train: folders(names), ...none });
  return learn({ root: mixed, inputSets: sets, preprocessed: true, workers: 1, out }, quiet);
}

let first: LearnResult;
beforeAll(async () => {
  first = await learnFrom(known);
});

const accepting = (output: string, samples: readonly string[], profile = first.profile ?? '') =>
  accept({ profile, samples, preprocessed: true, output, reason: 'a new font' }, quiet);

/** What a profile knows, without when and by whom it was written. */
async function knowledgeOf(path: string): Promise<unknown> {
  const files = [...(await unpackedProfile(path))].filter(([name]) => name !== 'profile.json');
  const { facts, close } = await openProfile(path);
  await close();
  const { created: _, accepted, ...rest } = facts;
  return {
    rest,
    files: files.map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')]),
  };
}

describe('accept', () => {
  test('makes the profile that learning from all runs would have made, to the last bit', async () => {
    const result = await accepting(at('grown.wayward'), folders(later));
    const anew = await learnFrom([...known, ...later]);
    expect(await knowledgeOf(result.profile)).toEqual(await knowledgeOf(anew.profile ?? ''));
    expect(result).toMatchObject({
      use: 'training and calibration',
      before: { trained: 20, calibrating: 20 },
      after: { trained: 22, calibrating: 22 },
      skipped: [],
    });
  });

  test('takes what it has accepted for nominal, and says how it was judged before', async () => {
    const before = readFileSync(first.profile ?? '');
    // Harmless, whatever they are: the user says so.
    const strange = at('strange');
    cpSync(join(mixed, 'm000'), strange, { recursive: true });
    const info = readFileSync(join(strange, 'info.txt'), 'utf8').replace('malicious', 'benign');
    writeFileSync(join(strange, 'info.txt'), info);
    const result = await accepting(at('wider.wayward'), [strange]);
    const [{ before: was, after: is }] = result.accepted as [(typeof result.accepted)[number]];
    expect([was.verdict, is.verdict]).toEqual(['anomalous', 'nominal']);
    expect(was.place).toBeDefined();
    expect(result.after.transfers).toBeGreaterThan(result.before.transfers);
    const judged = await judge(
      { profile: result.profile, samples: [strange], preprocessed: true, out },
      quiet,
    );
    expect(judged.judged[0]).toMatchObject({ verdict: 'nominal', pValue: is.pValue });
    expect(readFileSync(first.profile ?? '')).toEqual(before);
    const renewed = await openProfile(result.profile);
    await renewed.close();
    expect(renewed.facts.accepted).toEqual([
      { name: 'strange', directory: strange, date: expect.any(String), reason: 'a new font' },
    ]);
  });

  test('lets runs calibrate where the model cannot learn from them', async () => {
    // A profile of before training runs were kept.
    const files = await unpackedProfile(first.profile);
    files.delete('model/training-runs.bin');
    writeFileSync(at('old.wayward'), packFiles(files));
    const result = await accepting(at('calibrated.wayward'), folders(later), at('old.wayward'));
    expect(result).toMatchObject({
      use: 'calibration',
      before: { trained: 20, calibrating: 20 },
      after: { trained: 20, calibrating: 22 },
    });
    // The next ones calibrate, too: those of before were judged by the model as it is.
    const again = await accepting(at('again.wayward'), folders(later).slice(0, 1), result.profile);
    expect(again).toMatchObject({ use: 'calibration', after: { calibrating: 23 } });
  });

  test('refuses what is labelled malicious, and passes over what it has learned from', async () => {
    await expect(accepting(at('x.wayward'), [join(mixed, 'm000')])).rejects.toMatchObject({
      code: 'accepted-anomalous',
    });
    await expect(accepting(at('x.wayward'), folders(known.slice(0, 1)))).rejects.toMatchObject({
      code: 'nothing-accepted',
    });
    const mixture = folders([...known.slice(0, 2), ...later.slice(0, 1)]);
    const { accepted, skipped } = await accepting(at('some.wayward'), mixture);
    expect(accepted.map(({ name }) => name)).toEqual([later[0]]);
    expect(skipped.map(({ name }) => name)).toEqual(known.slice(0, 2));
    expect(existsSync(at('x.wayward'))).toBe(false);
  });
});

test('a new profile gets the next name that is free', async () => {
  expect(basename(nextPath(at('p.wayward')))).toBe('p-2.wayward');
  writeFileSync(at('p-2.wayward'), '');
  expect(basename(nextPath(at('p.wayward')))).toBe('p-3.wayward');
  expect(basename(nextPath(at('p-2.wayward')))).toBe('p-3.wayward');
  expect(basename(nextPath(at('2026-11.wayward')))).toBe('2026-12.wayward');
});
