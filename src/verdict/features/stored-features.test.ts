import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { exampleEvaluation } from '../../../test/example-evaluation.ts';
import { encodeEvaluation, writeEvaluation } from '../../evaluation/file.ts';
import { featureVersion } from './feature-table.ts';
import { computeFeatures } from './features.ts';
import { decodeTraceFeatures, featuresToStore, readTraceFeatures } from './stored-features.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wayward-'));
});
afterEach(() => rm(directory, { recursive: true }));

const example = exampleEvaluation(
  [
    { predicted: 3, actual: 3, confidence: 0.75 },
    { predicted: 5, actual: 300, confidence: 0.5, unseen: true },
  ],
  { occurrences: [0, 0, 1, 0], unknownRuns: [2, 3, 90, 1] },
);

test('gives the same features read in short as computed from the whole', async () => {
  await writeEvaluation(directory, example, featuresToStore(example));
  const { evaluations: short } = await readTraceFeatures(directory);
  expect(short).toEqual([computeFeatures(example)]);
});

test('computes features anew when a file has those of another release', () => {
  const bytes = encodeEvaluation(example, featuresToStore(example));
  const text = Buffer.from(bytes).toString('latin1');
  const older = text.replace(`"featureVersion":${featureVersion}`, '"featureVersion":0');
  const forged = Uint8Array.from(
    Buffer.from(
      older.replace(/"nll":[^,]*/, (m) => '"nll":9'.padEnd(m.length)),
      'latin1',
    ),
  );
  const body = forged.subarray(0, -4);
  new DataView(forged.buffer).setUint32(body.length, crc32(body), true);
  expect(decodeTraceFeatures(forged)).toEqual(computeFeatures(example));
});
