import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { writeTinyCorpus } from '../../../test/tiny-corpus.ts';
import { learn } from '../learn.ts';

const root = writeTinyCorpus(24, 1);
const out = mkdtempSync(join(tmpdir(), 'wayward-look-'));
afterAll(() => {
  for (const folder of [root, out]) rmSync(folder, { recursive: true, force: true });
});

test('an attack among the runs that are learned from is named first, with its place', async () => {
  // Nobody knows it for one: it lies there as a harmless run, between the others.
  const hidden = join(root, 'b007a');
  renameSync(join(root, 'm000'), hidden);
  const info = join(hidden, 'info.txt');
  writeFileSync(info, readFileSync(info, 'utf8').replace('malicious', 'benign'));
  const warnings: string[] = [];
  const log = (level: string, message: string): void => {
    if (level === 'warning') warnings.push(message);
  };
  const context = { log: { log }, progress: () => {} };
  const request = { root, preprocessed: true, workers: 1, out };
  const { unlike, sets } = await learn(request, context);
  expect(sets.train).toBe(25);
  expect(unlike).toMatchObject([
    { name: 'b007a', directory: hidden, standsOut: true, place: expect.stringContaining('tiny') },
  ]);
  expect(warnings).toEqual([
    expect.stringMatching(/^1 training runs stand out from all others: b007a \(.*tiny/),
  ]);
  rmSync(hidden, { recursive: true });
  warnings.length = 0;
  const harmless = await learn(request, context);
  expect(harmless.unlike).toMatchObject([{ standsOut: false }]);
  expect(warnings).toEqual([]);
});
