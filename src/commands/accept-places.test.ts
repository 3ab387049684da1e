import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyCorpus, writeTinySample } from '../../test/tiny-corpus.ts';
import { silentLogger } from '../base/log.ts';
import { acceptPlaces } from './accept-places.ts';
import { type JudgeResult, judge } from './judge.ts';
import { learn } from './learn.ts';
import { readKnownPlaces } from './samples/evaluating/known-places.ts';

const root = writeTinyCorpus(20, 0);
const out = mkdtempSync(join(tmpdir(), 'wayward-places-test-'));
const later = mkdtempSync(join(out, 'later-'));
writeTinySample(later, 'odd', 'unknown', 2001, 30);
writeTinySample(later, 'attack', 'unknown', 2002, 400);
writeTinySample(later, 'usual', 'unknown', 2003, 0);
afterAll(() => {
  for (const folder of [root, out]) rmSync(folder, { recursive: true, force: true });
});

const quiet = { log: silentLogger, progress: () => {} };
const list = join(out, 'reader.known');
const at = (name: string): string => join(later, name);

let profile: string;
beforeAll(async () => {
  profile = (await learn({ root, preprocessed: true, workers: 1, out }, quiet)).profile ?? '';
});

const judging = (samples: readonly string[], knownPlaces?: string): Promise<JudgeResult> =>
  judge({ profile, samples, preprocessed: true, out, knownPlaces }, quiet);

const accepting = (samples: readonly string[], knownPlaces: string) =>
  acceptPlaces(
    { profile, samples, knownPlaces, preprocessed: true, reason: 'a  new\nfont' },
    quiet,
  );

describe('known places', () => {
  test('are those that make a harmless run anomalous; it is nominal with them, and says so', async () => {
    const [before] = (await judging([at('odd')])).judged;
    expect(before).toMatchObject({ verdict: 'anomalous', knownPlaces: [] });
    writeFileSync(list, '# looked at by two of us\n');
    const { accepted } = await accepting([at('odd')], list);
    expect(accepted).toMatchObject([
      { name: 'odd', before: { verdict: 'anomalous' }, after: { verdict: 'nominal' } },
    ]);
    const places = await readKnownPlaces(list);
    expect(places[0]?.fingerprint).toBe(before?.fingerprint);
    expect(places.length).toBeLessThan(16);
    expect(places).toEqual(
      accepted[0]?.places.map((place) => ({ ...place, reason: 'a new font' })),
    );
    expect(readFileSync(list, 'utf8')).toContain('# looked at by two of us\n');
    const [after] = (await judging([at('odd')], list)).judged;
    expect(after).toMatchObject({ verdict: 'nominal', fingerprint: undefined });
    expect(after?.knownPlaces).toMatchObject(places.map((place) => ({ ...place })));
    for (const { times } of after?.knownPlaces ?? []) expect(times).toBeGreaterThan(0);
  });

  test('hide no other transfer, and change nothing for runs without them', async () => {
    const samples = [at('attack'), at('usual')];
    const without = (await judging(samples)).judged;
    const withList = (await judging(samples, list)).judged;
    const verdictOf = ({ verdict, pValue, place }: JudgeResult['judged'][number]) => ({
      ...{ verdict, pValue, place },
    });
    expect(withList.map(verdictOf)).toEqual(without.map(verdictOf));
    expect(withList.map(({ verdict }) => verdict)).toEqual(['anomalous', 'nominal']);
  });

  test('with another target are others', async () => {
    const [place] = await readKnownPlaces(list);
    const [site, target] = (place?.fingerprint ?? '').split('>');
    const elsewhere = target === 'tiny+0x10' ? 'tiny+0x20' : 'tiny+0x10';
    const other = join(out, 'other.known');
    writeFileSync(other, `${site}>${elsewhere}  2026-11-29  another one\n`);
    const [sample] = (await judging([at('odd')], other)).judged;
    expect(sample).toMatchObject({ verdict: 'anomalous', fingerprint: place?.fingerprint });
  });

  test('are not written of a run that is unlike the others as a whole', async () => {
    const none = join(out, 'none.known');
    await expect(accepting([at('odd'), at('attack')], none)).rejects.toMatchObject({
      code: 'too-many-places',
    });
    expect(existsSync(none)).toBe(false);
  });

  test('are not written without words for a reason', async () => {
    const none = join(out, 'no-reason.known');
    const request = { profile, samples: [at('odd')], knownPlaces: none, preprocessed: true };
    await expect(acceptPlaces({ ...request, reason: ' \n' }, quiet)).rejects.toMatchObject({
      code: 'no-reason',
    });
    expect(existsSync(none)).toBe(false);
  });

  test.each([
    ['without a reason', 'a+0x1>b+0x2  2026-11-29', 'does not say why'],
    ['without a date', 'a+0x1>b+0x2  because', 'is no "module'],
    ['outside every image', 'a+0x1>?  2026-11-29  because', 'is no "module'],
    ['for any target', 'a+0x1>*  2026-11-29  because', 'is no "module'],
  ])('%s are refused with their line', async (_, line, why) => {
    const wrong = join(out, 'wrong.known');
    writeFileSync(wrong, `# a comment\n\nmy%20lib.so+0x1>b+0x2 2026-01-01 a reason\n${line}\n`);
    await expect(readKnownPlaces(wrong)).rejects.toThrow(`line 4: ${why}`);
  });
});
