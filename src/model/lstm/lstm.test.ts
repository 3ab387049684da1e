import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { plainLogits, plainLoss } from '../../../test/plain-lstm.ts';
import { sealJson } from '../../base/files/sealed.ts';
import { silentLogger } from '../../base/log.ts';
import { Random } from '../../base/random.ts';
import type { WindowSet } from '../../sequences/windows.ts';
import { NgramReader, NgramTable } from '../ngram/table.ts';
import { scorePredictions } from '../score-windows.ts';
import { Lstm } from './lstm.ts';
import { LstmPool } from './pool.ts';
import { type LstmShape, parameterLayout } from './shape.ts';
import { trainLstm } from './train.ts';

const context = { log: silentLogger, progress: () => {} };
const small: LstmShape = {
  windowLength: 4,
  inputClasses: 6,
  outputClasses: 5,
  embedding: 3,
  units: 4,
  layers: 3,
  bidirectional: false,
  dense: 5,
  gate: 'sigmoid',
};

function randomWindows(shape: LstmShape, length: number, tokens: number, seed: number): WindowSet {
  const random = new Random(seed);
  return {
    length,
    windowLength: shape.windowLength,
    symbols: Int32Array.from({ length: length * shape.windowLength }, () => random.below(tokens)),
    targets: Int32Array.from({ length }, () => random.below(shape.outputClasses)),
    counts: Float64Array.from({ length }, () => 1 + random.below(9)),
  };
}

/** Parameters large enough that every nonlinearity is bent. */
function shake(parameters: Float32Array, seed: number): void {
  const random = new Random(seed);
  for (let i = 0; i < parameters.length; i++) parameters[i] = random.normal() * 0.6;
}

const open: { dispose(): Promise<void> }[] = [];
afterAll(() => Promise.all(open.map((item) => item.dispose())));

function make(shape: LstmShape, workers = 1, prior?: NgramTable): Lstm {
  const lstm = Lstm.create(shape, prior, { device: 'cpu', workers, dropout: 0, seed: 1 });
  open.push(lstm);
  shake(lstm.parameters, 5);
  return lstm;
}

/** Gradient of the summed, weighted loss, in the layout of all parameters. */
async function gradientOf(lstm: Lstm, windows: WindowSet, worker = 0): Promise<Float64Array> {
  const { length, denseOffset } = parameterLayout(lstm.shape);
  const dense = new Float32Array(new SharedArrayBuffer((length - denseOffset) * 4));
  const result = await lstm.pool.gradient(worker, {
    symbols: windows.symbols,
    targets: windows.targets,
    weights: Float32Array.from(windows.counts),
    ownWeights: Float32Array.from(windows.counts, (count) => lstm.prior?.weightOf(count) ?? 0),
    serial: 0,
    gradient: dense,
  });
  const all = new Float64Array(length);
  all.set(dense, denseOffset);
  const { embedding } = lstm.shape;
  result.tokens.forEach((token, i) => {
    all.set(result.tokenGradient.subarray(i * embedding, (i + 1) * embedding), token * embedding);
  });
  return all;
}

function plainTotal(lstm: Lstm, parameters: Float64Array, windows: WindowSet): number {
  const n = windows.windowLength;
  const reader = lstm.prior === undefined ? undefined : new NgramReader(lstm.prior);
  let total = 0;
  for (let i = 0; i < windows.length; i++) {
    const window = windows.symbols.subarray(i * n, (i + 1) * n);
    let prior: Float32Array | undefined;
    if (reader !== undefined) {
      prior = new Float32Array(lstm.outputClasses);
      reader.read(window, n, windows.targets[i], lstm.prior?.weightOf(windows.counts[i]));
      reader.writeLogits(prior, 0);
    }
    const logits = plainLogits(lstm.shape, parameters, window, prior);
    total += windows.counts[i] * plainLoss(logits, windows.targets[i]);
  }
  return total;
}

describe('gradients', () => {
  test.each([
    ['one direction', small, 7, false],
    ['both directions', { ...small, bidirectional: true }, 5, false],
    ['hard sigmoid', { ...small, gate: 'hardSigmoid' as const, layers: 2 }, 5, false],
    ['one layer', { ...small, layers: 1 }, 5, false],
    ['with a prior', { ...small, layers: 1 }, 9, true],
  ])(
    'of every parameter are those of finite differences: %s',
    async (_, shape, count, withPrior) => {
      const windows = randomWindows(shape, count, shape.inputClasses, 3);
      const prior = withPrior ? NgramTable.fit(windows, shape.outputClasses) : undefined;
      const lstm = make(shape, 1, prior);
      const fast = await gradientOf(lstm, windows);
      const parameters = Float64Array.from(lstm.parameters);
      // Central differences in double precision: the error is of the order of h squared.
      const h = 1e-5;
      for (let i = 0; i < parameters.length; i++) {
        const value = parameters[i];
        parameters[i] = value + h;
        const above = plainTotal(lstm, parameters, windows);
        parameters[i] = value - h;
        const below = plainTotal(lstm, parameters, windows);
        parameters[i] = value;
        const slow = (above - below) / (2 * h);
        expect(Math.abs(fast[i] - slow)).toBeLessThan(2e-4 * Math.max(1, Math.abs(slow)));
      }
    },
  );

  test('are as exact where floats of their size have hardly any bits left', async () => {
    const shape = { ...small, windowLength: 16 };
    const lstm = make(shape);
    const windows = randomWindows(shape, 256, shape.inputClasses, 6);
    // Sums over all windows are large enough to be told well.
    const weight = 2 ** -136;
    const gradient = await gradientOf(lstm, windows);
    const tiny = await gradientOf(lstm, {
      ...windows,
      counts: windows.counts.map((count) => count * weight),
    });
    const largest = Math.max(...gradient.map(Math.abs));
    const apart = Math.max(...gradient.map((value, i) => Math.abs(tiny[i] / weight - value)));
    expect(apart).toBeLessThan(largest * 1e-6);
  });

  test('of a large batch with few distinct blocks are the sums of its parts', async () => {
    const shape = { ...small, windowLength: 8 };
    const lstm = make(shape);
    const windows = randomWindows(shape, 512, 3, 4);
    const whole = await gradientOf(lstm, windows);
    const sum = new Float64Array(whole.length);
    for (let from = 0; from < 512; from += 16) {
      const part = {
        ...windows,
        length: 16,
        symbols: windows.symbols.slice(from * 8, (from + 16) * 8),
        targets: windows.targets.slice(from, from + 16),
        counts: windows.counts.slice(from, from + 16),
      };
      (await gradientOf(lstm, part)).forEach((value, i) => {
        sum[i] += value;
      });
    }
    const largest = Math.max(...sum.map(Math.abs));
    whole.forEach((value, i) => {
      expect(Math.abs(value - sum[i])).toBeLessThan(1e-4 * largest);
    });
  });
});

describe('predictions', () => {
  test.each([
    ['one direction', small],
    ['both directions', { ...small, bidirectional: true }],
    ['hard sigmoid', { ...small, gate: 'hardSigmoid' as const }],
  ])('are those of the plain network: %s', async (_, shape) => {
    const lstm = make(shape, 2);
    const windows = randomWindows(shape, 40, shape.inputClasses, 6);
    const predictions = await lstm.predict(windows, context);
    const n = shape.windowLength;
    for (let i = 0; i < windows.length; i++) {
      const logits = plainLogits(
        shape,
        lstm.parameters,
        windows.symbols.subarray(i * n, (i + 1) * n),
      );
      const most = Math.max(...logits);
      expect(predictions.predicted[i]).toBe(logits.indexOf(most));
      expect(predictions.confidence[i]).toBeCloseTo(
        Math.exp(-plainLoss(logits, logits.indexOf(most))),
        5,
      );
      expect(predictions.targetProbability[i]).toBeCloseTo(
        Math.exp(-plainLoss(logits, windows.targets[i])),
        5,
      );
      const rank = logits.filter((value) => value > logits[windows.targets[i]]).length;
      expect(predictions.targetRank[i]).toBe(rank);
    }
  });
});

test('classes that are equally probable are right one at a time', async () => {
  const lstm = make(small, 2);
  lstm.parameters.fill(0);
  const rows = { ...randomWindows(small, small.outputClasses, small.inputClasses, 6) };
  const counts = new Float64Array(rows.length).fill(1);
  const windows = { ...rows, counts, targets: rows.targets.map((_, i) => i) };
  const predictions = await lstm.predict(windows, context);
  expect([...predictions.predicted]).toEqual([...windows.targets].map(() => 0));
  expect([...predictions.targetRank]).toEqual([...windows.targets]);
  expect(scorePredictions(windows, predictions).accuracy).toBeCloseTo(1 / small.outputClasses, 9);
  await lstm.dispose();
});

test('weights that are no numbers predict nothing', async () => {
  const lstm = make(small, 2);
  lstm.parameters[lstm.parameters.length - 1] = Number.NaN;
  const windows = randomWindows(small, 3, small.inputClasses, 6);
  await expect(lstm.predict(windows, context)).rejects.toMatchObject({
    code: 'outputs-no-numbers',
  });
  await lstm.dispose();
});

/** Targets that follow from the last two blocks. */
function learnable(shape: LstmShape): WindowSet {
  const windows = randomWindows(shape, 600, shape.inputClasses, 8);
  const n = shape.windowLength;
  for (let i = 0; i < windows.length; i++) {
    const [a, b] = windows.symbols.subarray(i * n + n - 2, (i + 1) * n);
    windows.targets[i] = (a + 2 * b) % shape.outputClasses;
  }
  return windows;
}

const trainOptions = {
  epochs: 40,
  batchSize: 300,
  optimizer: { kind: 'adam', learningRate: 0.01, decay: 0, schedule: 'one-cycle', clipNorm: 1 },
  weighting: { order: 'drawn', power: 0.5, cap: 0 },
  keepBest: false,
  seed: 2,
  patience: 0,
} as const;

describe('training', () => {
  const shape = { ...small, units: 16, embedding: 8, dense: 16, layers: 1 };
  const create = (workers: number): Lstm => {
    const lstm = Lstm.create(shape, undefined, { device: 'cpu', workers, dropout: 0.1, seed: 1 });
    open.push(lstm);
    return lstm;
  };

  test('learns what can be learned', async () => {
    const windows = learnable(shape);
    const lstm = create(2);
    const before = scorePredictions(windows, await lstm.predict(windows, context));
    const options = { ...trainOptions, epochs: 80, batchSize: 60 };
    const report = await trainLstm(lstm, windows, options, context);
    const after = scorePredictions(windows, await lstm.predict(windows, context));
    expect(before.accuracy).toBeLessThan(0.5);
    expect(after.accuracy).toBeGreaterThan(0.95);
    expect(report.epochs.length).toBe(80);
  });

  test('gives the same weights whatever the number of workers', async () => {
    const windows = learnable(shape);
    const options = { ...trainOptions, epochs: 2, batchSize: 700 };
    const weights: Float32Array[] = [];
    for (const workers of [1, 2, 3]) {
      const lstm = create(workers);
      await trainLstm(lstm, windows, options, context);
      weights.push(Float32Array.from(lstm.parameters));
    }
    expect(weights[1]).toEqual(weights[0]);
    expect(weights[2]).toEqual(weights[0]);
  });

  test('keeps the best weights and stops early', async () => {
    const lstm = create(1);
    const optimizer = {
      ...trainOptions.optimizer,
      schedule: 'constant',
      learningRate: 3,
      clipNorm: 0,
    } as const;
    const report = await trainLstm(
      lstm,
      learnable(shape),
      { ...trainOptions, optimizer, patience: 2 },
      context,
    );
    expect(report.epochs.length).toBeLessThan(40);
    expect(report.best).toBe(report.epochs.length - 2);
  });

  test('ends with a named error when the loss is no number, or there is nothing to learn', async () => {
    const windows = learnable(shape);
    const lstm = create(1);
    lstm.parameters[0] = Number.NaN;
    lstm.parameters.fill(Number.NaN, parameterLayout(shape).denseOffset);
    await expect(trainLstm(lstm, windows, trainOptions, context)).rejects.toThrow(
      'the loss is NaN in epoch 1',
    );
    const none = { ...windows, length: 0 };
    await expect(trainLstm(lstm, none, trainOptions, context)).rejects.toThrow(
      'no window to learn from',
    );
  });

  test('stops where it is told to', async () => {
    const signal = AbortSignal.abort();
    await expect(
      trainLstm(create(1), learnable(shape), trainOptions, { ...context, signal }),
    ).rejects.toThrow('abort');
  });
});

describe('model files', () => {
  test('are read as they were written', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
    const windows = randomWindows(small, 50, small.inputClasses, 9);
    const lstm = make(small, 1, NgramTable.fit(windows, small.outputClasses));
    await lstm.save(folder);
    const loaded = await Lstm.load(folder, { device: 'cpu', workers: 1, seed: 1 });
    open.push(loaded);
    expect(loaded.fingerprint).toBe(lstm.fingerprint);
    expect(await loaded.predict(windows, context)).toEqual(await lstm.predict(windows, context));
  });

  test('that are cut off, changed or of another kind are refused', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
    const load = (): Promise<Lstm> => Lstm.load(folder, { device: 'cpu', workers: 1, seed: 1 });
    const lstm = make(small);
    await lstm.save(folder);
    const weights = readFileSync(join(folder, 'weights.bin'));
    writeFileSync(join(folder, 'weights.bin'), weights.subarray(4));
    await expect(load()).rejects.toThrow('weights.bin: has');
    weights[9] ^= 1;
    writeFileSync(join(folder, 'weights.bin'), weights);
    await expect(load()).rejects.toThrow('the weights are not those that the model was saved with');
    writeFileSync(join(folder, 'model.json'), sealJson({ schemaVersion: 1, model: 'ngram' }));
    await expect(load()).rejects.toThrow('model.json: describes no LSTM of this version');
    writeFileSync(join(folder, 'model.json'), 'x');
    await expect(load()).rejects.toThrow('it is no JSON');
  });
});

test('a device that is not there gives a sentence', async () => {
  const lstm = Lstm.create(small, undefined, { device: 'tpu', workers: 1, dropout: 0, seed: 1 });
  open.push(lstm);
  await expect(lstm.predict(randomWindows(small, 2, 6, 1), context)).rejects.toMatchObject({
    name: 'UserError',
    code: 'device-unknown',
    category: 'arguments',
    message: 'there is no device "tpu": use cpu, webgpu or cuda:N',
  });
  // No machine has a hundred.
  const none = Lstm.create(small, undefined, {
    device: 'cuda:99',
    workers: 1,
    dropout: 0,
    seed: 1,
  });
  open.push(none);
  await expect(none.predict(randomWindows(small, 2, 6, 1), context)).rejects.toMatchObject({
    code: 'device-unavailable',
    category: 'unavailable',
  });
});

test('predictions that are stopped let the jobs under way end', async () => {
  const shape = { ...small, units: 64, windowLength: 16 };
  const lstm = Lstm.create(shape, undefined, { device: 'cpu', workers: 2, dropout: 0, seed: 1 });
  const stop = new AbortController();
  let told = 0;
  const predicting = lstm.predict(randomWindows(shape, 5000, 6, 1), {
    ...context,
    signal: stop.signal,
    progress: () => {
      told++;
      stop.abort();
    },
  });
  await expect(predicting).rejects.toThrow('abort');
  // The other worker is at a batch of its own; ended within it, the process would be gone.
  await lstm.dispose();
  expect(told).toBeGreaterThan(0);
});

test('a pool answers every job', async () => {
  const lstm = make(small, 3);
  expect(lstm.pool).toBeInstanceOf(LstmPool);
  const windows = randomWindows(small, 10, 6, 1);
  const results = await Promise.all([0, 1, 2].map((worker) => gradientOf(lstm, windows, worker)));
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
});

test('a process that exits while its threads compute ends with its own code', () => {
  const here = import.meta.dirname;
  const code = `
    import { Lstm } from '${here}/lstm.ts';
    const shape = ${JSON.stringify({ ...small, units: 128, windowLength: 32 })};
    const lstm = Lstm.create(shape, undefined, { device: 'cpu', workers: 2, dropout: 0, seed: 1 });
    const length = 4096;
    const windows = {
      length,
      windowLength: 32,
      symbols: new Int32Array(length * 32),
      targets: new Int32Array(length),
      counts: new Float64Array(length).fill(1),
    };
    await lstm.predict(windows, { log: { log() {} }, progress: () => process.exit(4) });`;
  const script = join(mkdtempSync(join(tmpdir(), 'wayward-')), 'exit.ts');
  writeFileSync(script, code);
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(4);
});
