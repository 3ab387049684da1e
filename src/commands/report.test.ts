import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeTinyCorpus } from '../../test/tiny-corpus.ts';
import { tinyLearn } from '../../test/tiny-learn.ts';
import { silentLogger } from '../base/log.ts';
import { type ClassifyOptions, classify, defaultJudging } from './classify.ts';
import { learn } from './learn.ts';
import { withPlaces } from './report.ts';

const scratch = mkdtempSync(join(tmpdir(), 'wayward-places-'));
afterAll(() => rmSync(scratch, { recursive: true }));
let options: ClassifyOptions;

beforeAll(async () => {
  const root = join(scratch, 'corpus');
  renameSync(writeTinyCorpus(8, 3), root);
  const request = { ...tinyLearn, model: 'ngram', root, out: scratch } as const;
  const { folder } = await learn(request, context());
  options = { ...defaultJudging, path: folder.root, fpr: 0.5 };
});

function context() {
  const warnings: string[] = [];
  const log = {
    ...silentLogger,
    log: (level: string, text: string) => level === 'warning' && warnings.push(text),
  };
  return { warnings, log, progress: () => {} };
}

test('an evaluation that can be read no more when its places are looked for is told', async () => {
  const { warnings, ...how } = context();
  const judged = await classify(options, how);
  const flagged = judged.report.rows.find(({ verdict }) => verdict === 'anomalous');
  const names = readdirSync(judged.path.evaluation);
  const name = names.find((file) => file.endsWith(`-${flagged?.name}.eval`)) ?? '';
  const file = join(judged.path.evaluation, name);
  writeFileSync(file, 'hello');
  const { report } = await withPlaces(judged, options, how);
  expect(report.rows.find((row) => row.name === flagged?.name)?.detail).toBeUndefined();
  expect(warnings[0]).toContain(`no instructions for ${file}: `);
  rmSync(file);
});

test('a vocabulary that cannot be read is not taken for one that is not there', async () => {
  const { warnings: _, ...how } = context();
  const judged = await classify(options, how);
  const file = join(options.path, 'vocabulary.json.gz');
  rmSync(file);
  await expect(withPlaces(judged, options, how)).resolves.toBeDefined();
  mkdirSync(file);
  await expect(withPlaces(judged, options, how)).rejects.toThrow(`${file}: cannot be read`);
});
