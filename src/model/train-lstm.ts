import { UserError } from '../base/errors.ts';
import { Random } from '../base/random.ts';
import type { WindowSet } from '../sequences/windows.ts';
import type { RunContext } from './first-layer.ts';
import type { Lstm } from './lstm.ts';
import { parameterLayout } from './lstm-shape.ts';
import type { GradientJob, GradientResult } from './lstm-worker.ts';
import { countWeight } from './ngram-table.ts';
import { Optimizer, type OptimizerOptions } from './optimizer.ts';
import { WindowSampler } from './window-sampler.ts';

export interface TrainOptions {
  readonly epochs: number;
  readonly batchSize: number;
  readonly optimizer: Omit<OptimizerOptions, 'totalSteps'>;
  /** Windows are drawn in proportion to `count ** samplingPower`. */
  readonly samplingPower: number;
  readonly seed: number;
  /** Epochs without a better loss after which training stops; 0 = never. */
  readonly patience: number;
}

/** One line of the metrics. Loss and accuracy are those of the drawn windows, dropout included. */
export interface EpochReport {
  readonly epoch: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly windows: number;
  readonly seconds: number;
}

export interface TrainReport {
  readonly epochs: readonly EpochReport[];
  /** Epoch whose weights were kept, from 1. */
  readonly best: number;
}

/** Windows of one session run: large enough for fast products, small enough for two workers to share a batch. */
const microBatch = 256;

/**
 * Trains a network in place.
 *
 * An epoch is as many draws as there are distinct windows. Micro-batches are cut and summed in a
 * fixed order, so that the result does not depend on the number of workers.
 *
 * @throws UserError `no-windows`, `loss-not-finite`; an abort through the context's signal
 */
export async function trainLstm(
  lstm: Lstm,
  windows: WindowSet,
  options: TrainOptions,
  context: RunContext,
  onEpoch: (report: EpochReport) => Promise<void> = async () => {},
): Promise<TrainReport> {
  if (windows.length === 0) {
    throw new UserError('no-windows', 'the training traces hold no window to learn from', {
      category: 'input',
    });
  }
  const { pool, parameters } = lstm;
  const { denseOffset, length } = parameterLayout(lstm.shape);
  const batchesPerEpoch = Math.max(1, Math.ceil(windows.length / options.batchSize));
  const totalSteps = batchesPerEpoch * options.epochs;
  const optimizer = new Optimizer({ ...options.optimizer, totalSteps }, length);
  const sampler = new WindowSampler(windows.counts, options.samplingPower);
  const random = new Random(options.seed);
  const microBatches = Math.ceil(options.batchSize / microBatch);
  const gradients = Array.from(
    { length: microBatches },
    () => new Float32Array(new SharedArrayBuffer((length - denseOffset) * 4)),
  );
  const reports: EpochReport[] = [];
  let best = Number.POSITIVE_INFINITY;
  let bestEpoch = 0;
  const bestParameters = options.patience > 0 ? new Float32Array(length) : undefined;
  let serial = 0;
  const started = performance.now();
  for (let epoch = 1; epoch <= options.epochs; epoch++) {
    let loss = 0;
    let correct = 0;
    const epochStarted = performance.now();
    for (let batch = 0; batch < batchesPerEpoch; batch++) {
      context.signal?.throwIfAborted();
      const jobs: Promise<GradientResult>[] = [];
      for (let micro = 0; micro < microBatches; micro++) {
        const size = Math.min(microBatch, options.batchSize - micro * microBatch);
        const job = drawBatch(windows, sampler, random, size);
        jobs.push(
          pool.gradient(micro % pool.size, {
            ...job,
            weights: new Float32Array(size).fill(1 / options.batchSize),
            serial: serial++,
            gradient: gradients[micro],
          }),
        );
      }
      const results = await Promise.all(jobs);
      const batchLoss = results.reduce((sum, result) => sum + result.loss, 0);
      if (!Number.isFinite(batchLoss)) {
        throw new UserError(
          'loss-not-finite',
          `the loss is ${batchLoss} in epoch ${epoch}: a smaller --learning-rate may help`,
          { category: 'runtime' },
        );
      }
      loss += batchLoss;
      correct += results.reduce((sum, result) => sum + result.correct, 0);
      takeStep(parameters, optimizer, denseOffset, lstm.shape.embedding, gradients, results);
      const done = (epoch - 1) * batchesPerEpoch + batch + 1;
      const seconds = (performance.now() - started) / 1000;
      context.progress({
        step: `training, epoch ${epoch}/${options.epochs}`,
        done: (batch + 1) * options.batchSize,
        total: batchesPerEpoch * options.batchSize,
        unit: 'windows',
        facts: {
          loss: loss / (batch + 1),
          accuracy: correct / (batch + 1),
          'windows/s': (done * options.batchSize) / seconds,
          left: `${Math.ceil((seconds / done) * (totalSteps - done))} s`,
        },
      });
    }
    const report: EpochReport = {
      epoch,
      loss: loss / batchesPerEpoch,
      accuracy: correct / batchesPerEpoch,
      windows: batchesPerEpoch * options.batchSize,
      seconds: (performance.now() - epochStarted) / 1000,
    };
    reports.push(report);
    await onEpoch(report);
    if (report.loss < best) {
      best = report.loss;
      bestEpoch = epoch;
      bestParameters?.set(parameters);
    } else if (bestParameters !== undefined && epoch - bestEpoch >= options.patience) {
      break;
    }
  }
  if (bestParameters !== undefined) parameters.set(bestParameters);
  else bestEpoch = reports.length;
  return { epochs: reports, best: bestEpoch };
}

function drawBatch(
  windows: WindowSet,
  sampler: WindowSampler,
  random: Random,
  size: number,
): Pick<GradientJob, 'symbols' | 'targets' | 'ownWeights'> {
  const n = windows.windowLength;
  const symbols = new Int32Array(size * n);
  const targets = new Int32Array(size);
  const ownWeights = new Float32Array(size);
  for (let row = 0; row < size; row++) {
    const index = sampler.draw(random);
    symbols.set(windows.symbols.subarray(index * n, (index + 1) * n), row * n);
    targets[row] = windows.targets[index];
    ownWeights[row] = countWeight(windows.counts[index]);
  }
  return { symbols, targets, ownWeights };
}

function takeStep(
  parameters: Float32Array,
  optimizer: Optimizer,
  denseOffset: number,
  embedding: number,
  gradients: readonly Float32Array[],
  results: readonly GradientResult[],
): void {
  const [dense, ...others] = gradients;
  for (const other of others) for (let i = 0; i < dense.length; i++) dense[i] += other[i];
  const tokens = new Map<number, Float32Array>();
  for (const result of results) {
    result.tokens.forEach((token, index) => {
      const row = result.tokenGradient.subarray(index * embedding, (index + 1) * embedding);
      const sum = tokens.get(token);
      if (sum === undefined) tokens.set(token, row);
      else for (let i = 0; i < embedding; i++) sum[i] += row[i];
    });
  }
  let scale = 1;
  const { clipNorm } = optimizer.options;
  if (clipNorm > 0) {
    let squares = 0;
    for (let i = 0; i < dense.length; i++) squares += dense[i] * dense[i];
    for (const row of tokens.values()) for (const g of row) squares += g * g;
    const norm = Math.sqrt(squares);
    if (norm > clipNorm) scale = clipNorm / norm;
  }
  const rate = optimizer.begin();
  optimizer.update(parameters, denseOffset, dense, 0, dense.length, rate, scale);
  for (const [token, row] of tokens) {
    optimizer.update(parameters, token * embedding, row, 0, embedding, rate, scale);
  }
}
