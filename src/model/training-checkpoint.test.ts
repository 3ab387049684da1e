import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type ProgressSink, silentLogger } from '../base/log.ts';
import { Random } from '../base/random.ts';
import type { WindowSet } from '../sequences/windows.ts';
import { Lstm } from './lstm.ts';
import type { LstmShape } from './lstm-shape.ts';
import { NgramTable } from './ngram-table.ts';
import { type TrainOptions, type TrainReport, trainLstm } from './train-lstm.ts';

const shape: LstmShape = {
  windowLength: 3,
  inputClasses: 9,
  outputClasses: 7,
  embedding: 4,
  units: 5,
  layers: 2,
  bidirectional: false,
  dense: 6,
  gate: 'sigmoid',
};

const options: TrainOptions = {
  epochs: 4,
  batchSize: 300,
  optimizer: { kind: 'adam', learningRate: 0.02, decay: 0, schedule: 'one-cycle', clipNorm: 1 },
  weighting: { order: 'drawn', power: 0.75, cap: 0 },
  keepBest: false,
  seed: 6,
  patience: 3,
};

const random = new Random(2);
const windows: WindowSet = {
  length: 900,
  windowLength: 3,
  symbols: Int32Array.from({ length: 2700 }, () => random.below(9)),
  targets: Int32Array.from({ length: 900 }, () => random.below(7)),
  counts: Float64Array.from({ length: 900 }, () => 1 + random.below(20)),
};

const open: Lstm[] = [];
afterAll(() => Promise.all(open.map((lstm) => lstm.dispose())));

function create(workers: number, seed = 1): Lstm {
  const prior = NgramTable.fit(windows, shape.outputClasses);
  const lstm = Lstm.create(shape, prior, { device: 'cpu', workers, dropout: 0.3, seed });
  open.push(lstm);
  return lstm;
}

const quiet = { log: silentLogger, progress: () => {} };

/** Trains until `batches` batches are done, then is told to stop. */
async function interrupted(lstm: Lstm, path: string, batches: number, resume: boolean) {
  const controller = new AbortController();
  let done = 0;
  const progress: ProgressSink = () => {
    if (++done === batches) controller.abort();
  };
  const checkpoint = { path, everySeconds: 1e9, resume };
  const context = { log: silentLogger, progress, signal: controller.signal };
  await expect(trainLstm(lstm, windows, { ...options, checkpoint }, context)).rejects.toThrow(
    'abort',
  );
}

function figures({ epochs, best }: TrainReport): unknown {
  return { best, epochs: epochs.map(({ epoch, loss, accuracy }) => ({ epoch, loss, accuracy })) };
}

async function newPath(): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), 'wayward-checkpoint-')), 'training.bin');
}

test('a run that is interrupted twice and resumed ends as an unbroken one', async () => {
  const unbroken = create(1);
  const expected = await trainLstm(unbroken, windows, options, quiet);
  const path = await newPath();
  // Three batches an epoch: in the middle of the second, and at the end of the third.
  await interrupted(create(2), path, 4, false);
  await interrupted(create(1), path, 5, true);
  const last = create(2);
  const epochs: number[] = [];
  const checkpoint = { path, everySeconds: 0, resume: true };
  const report = await trainLstm(
    last,
    windows,
    { ...options, checkpoint },
    quiet,
    async (epoch) => {
      epochs.push(epoch.epoch);
    },
  );
  expect(last.parameters).toEqual(unbroken.parameters);
  expect(figures(report)).toEqual(figures(expected));
  expect(epochs).toEqual([1, 2, 3, 4]);
  // And once more: there is nothing left to do.
  const again = create(1);
  expect(figures(await trainLstm(again, windows, { ...options, checkpoint }, quiet))).toEqual(
    figures(expected),
  );
  expect(again.parameters).toEqual(unbroken.parameters);
});

test('a checkpoint of another run, or a damaged one, is refused', async () => {
  const path = await newPath();
  await interrupted(create(1), path, 2, false);
  const checkpoint = { path, everySeconds: 1e9, resume: true };
  const resume = (lstm: Lstm, set: WindowSet, changed: Partial<TrainOptions>) =>
    trainLstm(lstm, set, { ...options, ...changed, checkpoint }, quiet);
  const other = { code: 'checkpoint-of-another-run' };
  await expect(resume(create(1), windows, { epochs: 5 })).rejects.toMatchObject(other);
  await expect(resume(create(1, 9), windows, {})).rejects.toMatchObject(other);
  const counts = Float64Array.from(windows.counts, (count, i) => (i === 5 ? count + 1 : count));
  await expect(resume(create(1), { ...windows, counts }, {})).rejects.toMatchObject(other);
  const whole = await readFile(path);
  for (const length of [0, 10, whole.length >> 1, whole.length - 4]) {
    await writeFile(path, whole.subarray(0, length));
    await expect(resume(create(1), windows, {}), `${length} bytes`).rejects.toMatchObject({
      code: 'arrays-damaged',
    });
  }
});

test('a checkpoint that cannot be written ends the run by name', async () => {
  const file = await newPath();
  await writeFile(file, 'not a folder');
  const checkpoint = { path: join(file, 'training.bin'), everySeconds: 0, resume: false };
  await expect(
    trainLstm(create(1), windows, { ...options, checkpoint }, quiet),
  ).rejects.toMatchObject({ code: 'write-failed' });
});
