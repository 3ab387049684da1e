import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type ProgressSink, silentLogger } from '../../base/log.ts';
import { Random } from '../../base/random.ts';
import type { WindowSet } from '../../sequences/windows.ts';
import type { RunContext } from '../first-layer.ts';
import { NgramTable } from '../ngram/table.ts';
import { Lstm } from './lstm.ts';
import type { LstmShape } from './shape.ts';
import { type TrainOptions, type TrainReport, trainLstm } from './train.ts';

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
      code: 'file-damaged',
    });
  }
  // Any bit: most of the file is weights, which nothing else could tell from others.
  const random = new Random(1);
  for (let round = 0; round < 200; round++) {
    const bytes = Buffer.from(whole);
    const bit = random.below(bytes.length * 8);
    bytes[bit >> 3] ^= 1 << (bit & 7);
    await writeFile(path, bytes);
    await expect(resume(create(1), windows, {}), `bit ${bit}`).rejects.toMatchObject({
      code: 'file-damaged',
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

/** Trains as `create` and `options` say, in a process whose files may not grow beyond `kilobytes`. */
function trainWithLimit(path: string, kilobytes: number): { status: number | null; error: string } {
  const here = import.meta.dirname;
  const code = `
    import { Lstm } from '${here}/lstm.ts';
    import { NgramTable } from '${here}/../ngram/table.ts';
    import { trainLstm } from '${here}/train.ts';
    const [shape, options, plain, checkpoint] = JSON.parse(process.argv[1]);
    const windows = {
      ...plain,
      symbols: Int32Array.from(plain.symbols),
      targets: Int32Array.from(plain.targets),
      counts: Float64Array.from(plain.counts),
    };
    const prior = NgramTable.fit(windows, shape.outputClasses);
    const lstm = Lstm.create(shape, prior, { device: 'cpu', workers: 1, dropout: 0.3, seed: 1 });
    try {
      await trainLstm(lstm, windows, { ...options, checkpoint }, { log: { log() {} }, progress() {} });
    } catch (error) {
      console.log(error.name, error.code, error.category, error.message);
      process.exitCode = 3;
    }
    await lstm.dispose();`;
  const { symbols, targets, counts } = windows;
  const plain = { ...windows, symbols: [...symbols], targets: [...targets], counts: [...counts] };
  const checkpoint = { path, everySeconds: 0, resume: true };
  const { status, stdout, stderr } = spawnSync(
    'bash',
    [
      '-c',
      `ulimit -f ${kilobytes} && exec "$0" --input-type=module-typescript -e "$1" "$2"`,
      process.execPath,
      code,
      JSON.stringify([shape, options, plain, checkpoint]),
    ],
    { encoding: 'utf8' },
  );
  return { status, error: stdout + stderr };
}

test('a full disk ends the run by name and leaves the last checkpoint whole', async () => {
  const path = await newPath();
  await interrupted(create(1), path, 4, false);
  const before = await readFile(path);
  // The size of a file is limited here, since a disk cannot be filled; both fail in the middle of a write.
  const kilobytes = (before.length - 100) >> 10;
  expect(kilobytes).toBeGreaterThan(3);
  const { status, error } = trainWithLimit(path, kilobytes);
  expect(error).toMatch(/^UserError write-failed runtime .*training\.bin: .*(EFBIG|too large)/);
  expect(status).toBe(3);
  expect(await readFile(path)).toEqual(before);
  expect(await readdir(dirname(path))).toEqual(['training.bin']);
  // With room again it goes on to the result of an unbroken run.
  const [unbroken, resumed] = [create(1), create(1)];
  await trainLstm(unbroken, windows, options, quiet);
  const checkpoint = { path, everySeconds: 1e9, resume: true };
  await trainLstm(resumed, windows, { ...options, checkpoint }, quiet);
  expect(resumed.parameters).toEqual(unbroken.parameters);
});

test('shuffled epochs go on where they were, too', async () => {
  const shuffled: TrainOptions = {
    ...options,
    batchSize: 256,
    weighting: { order: 'shuffled', power: 0.5, cap: 8 },
    keepBest: true,
    patience: 0,
  };
  const unbroken = create(1);
  const expected = await trainLstm(unbroken, windows, shuffled, quiet);
  // 900 windows in batches of 256: the last one of an epoch holds what is left.
  expect(expected.epochs.map((epoch) => epoch.windows)).toEqual([900, 900, 900, 900]);
  const path = await newPath();
  const stop = new AbortController();
  let batches = 0;
  const checkpoint = { path, everySeconds: 1e9, resume: false };
  await expect(
    trainLstm(
      create(1),
      windows,
      { ...shuffled, checkpoint },
      { log: silentLogger, progress: () => ++batches === 6 && stop.abort(), signal: stop.signal },
    ),
  ).rejects.toThrow('abort');
  const resumed = create(2);
  const again = { ...shuffled, checkpoint: { ...checkpoint, resume: true } };
  expect(figures(await trainLstm(resumed, windows, again, quiet))).toEqual(figures(expected));
  expect(resumed.parameters).toEqual(unbroken.parameters);
});

test('the last epoch need not be whole, and goes on where it was', async () => {
  const part: TrainOptions = { ...options, batchSize: 256, epochs: 1.5, patience: 0 };
  const unbroken = create(1);
  const expected = await trainLstm(unbroken, windows, part, quiet);
  expect(expected.epochs.map((epoch) => epoch.windows)).toEqual([900, 512]);
  const path = await newPath();
  const stop = new AbortController();
  const totals: number[] = [];
  const checkpoint = { path, everySeconds: 1e9, resume: false };
  const progress: RunContext['progress'] = ({ done, total }) => {
    totals.push(total ?? 0);
    if (totals.length === 5) stop.abort();
    expect(done).toBeLessThanOrEqual(total ?? 0);
  };
  await expect(
    trainLstm(
      create(1),
      windows,
      { ...part, checkpoint },
      { log: silentLogger, progress, signal: stop.signal },
    ),
  ).rejects.toThrow('abort');
  expect(totals).toEqual([900, 900, 900, 900, 512]);
  const resumed = create(2);
  const again = { ...part, checkpoint: { ...checkpoint, resume: true } };
  expect(figures(await trainLstm(resumed, windows, again, quiet))).toEqual(figures(expected));
  expect(resumed.parameters).toEqual(unbroken.parameters);
});
