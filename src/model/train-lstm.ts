import { UserError } from '../base/errors.ts';
import { Random } from '../base/random.ts';
import type { WindowSet } from '../sequences/windows.ts';
import type { RunContext } from './first-layer.ts';
import type { Lstm } from './lstm.ts';
import { parameterLayout } from './lstm-shape.ts';
import type { GradientJob, GradientResult } from './lstm-worker.ts';
import { countWeight } from './ngram-table.ts';
import { Optimizer, type OptimizerOptions } from './optimizer.ts';
import { readCheckpoint, runIdentity, writeCheckpoint } from './training-checkpoint.ts';
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
  /** Where and how often the state of the run is kept; an interrupted run keeps it, too. */
  readonly checkpoint?: CheckpointOptions;
}

export interface CheckpointOptions {
  readonly path: string;
  readonly everySeconds: number;
  /** Go on from the file at `path`, to the same result as an unbroken run. */
  readonly resume: boolean;
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

/** The part of a run's state that is no array of parameters. */
interface RunState {
  /** Epoch at work, from 1, and how many of its batches are done. */
  epoch: number;
  batch: number;
  /** Sums over the epoch's batches. */
  loss: number;
  correct: number;
  /** Spent on the epoch before the run was interrupted. */
  seconds: number;
  /** Micro-batches drawn. */
  serial: number;
  step: number;
  random: Random['state'];
  /** `null` before the first epoch ends. */
  best: number | null;
  bestEpoch: number;
  stopped: boolean;
  reports: EpochReport[];
}

/** Windows of one session run: large enough for fast products, small enough for two workers to share a batch. */
const microBatch = 256;

/**
 * Trains a network in place.
 *
 * An epoch is as many draws as there are distinct windows. Micro-batches are cut and summed in a
 * fixed order, so that the result does not depend on the number of workers.
 *
 * @throws UserError `no-windows`, `loss-not-finite`, and those of checkpoints; an abort through the
 *   context's signal
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
  const bestParameters = new Float32Array(options.patience > 0 ? length : 0);
  const { checkpoint, epochs, batchSize, samplingPower, seed, patience } = options;
  const decisive = {
    epochs,
    batchSize,
    samplingPower,
    seed,
    patience,
    optimizer: optimizer.options,
  };
  const run = checkpoint === undefined ? '' : runIdentity(lstm, windows, decisive);
  let state: RunState = {
    epoch: 1,
    batch: 0,
    loss: 0,
    correct: 0,
    seconds: 0,
    serial: 0,
    step: 0,
    random: random.state,
    best: null,
    bestEpoch: 0,
    stopped: false,
    reports: [],
  };
  if (checkpoint?.resume) {
    const saved = await readCheckpoint<RunState>(checkpoint.path, run);
    state = saved.facts;
    parameters.set(saved.parameters);
    optimizer.squares.set(saved.squares);
    optimizer.means.set(saved.means);
    optimizer.step = state.step;
    bestParameters.set(saved.bestParameters);
    random.state = state.random;
    // For metrics that are written anew.
    for (const report of state.reports) await onEpoch(report);
  }
  let epochStarted = performance.now() - state.seconds * 1000;
  const keep = async (): Promise<void> => {
    if (checkpoint === undefined) return;
    state.step = optimizer.step;
    state.random = random.state;
    state.seconds = (performance.now() - epochStarted) / 1000;
    const { squares, means } = optimizer;
    const arrays = { parameters, squares, means, bestParameters };
    await writeCheckpoint(checkpoint.path, run, { facts: state, ...arrays });
  };
  const started = performance.now();
  const stepsBefore = (state.epoch - 1) * batchesPerEpoch + state.batch;
  let kept = started;
  while (!state.stopped && state.epoch <= options.epochs) {
    const { epoch } = state;
    for (; state.batch < batchesPerEpoch; state.batch++) {
      if (context.signal?.aborted) {
        await keep();
        context.signal.throwIfAborted();
      }
      if (checkpoint !== undefined && performance.now() - kept >= checkpoint.everySeconds * 1000) {
        await keep();
        kept = performance.now();
      }
      const jobs: Promise<GradientResult>[] = [];
      for (let micro = 0; micro < microBatches; micro++) {
        const size = Math.min(microBatch, options.batchSize - micro * microBatch);
        const job = drawBatch(windows, sampler, random, size);
        jobs.push(
          pool.gradient(micro % pool.size, {
            ...job,
            weights: new Float32Array(size).fill(1 / options.batchSize),
            serial: state.serial++,
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
      state.loss += batchLoss;
      state.correct += results.reduce((sum, result) => sum + result.correct, 0);
      takeStep(parameters, optimizer, denseOffset, lstm.shape.embedding, gradients, results);
      const done = (epoch - 1) * batchesPerEpoch + state.batch + 1;
      const seconds = (performance.now() - started) / 1000;
      const perStep = seconds / (done - stepsBefore);
      context.progress({
        step: `training, epoch ${epoch}/${options.epochs}`,
        done: (state.batch + 1) * options.batchSize,
        total: batchesPerEpoch * options.batchSize,
        unit: 'windows',
        facts: {
          loss: state.loss / (state.batch + 1),
          accuracy: state.correct / (state.batch + 1),
          'windows/s': options.batchSize / perStep,
          left: `${Math.ceil(perStep * (totalSteps - done))} s`,
        },
      });
    }
    const report: EpochReport = {
      epoch,
      loss: state.loss / batchesPerEpoch,
      accuracy: state.correct / batchesPerEpoch,
      windows: batchesPerEpoch * options.batchSize,
      seconds: (performance.now() - epochStarted) / 1000,
    };
    state.reports.push(report);
    await onEpoch(report);
    if (state.best === null || report.loss < state.best) {
      state.best = report.loss;
      state.bestEpoch = epoch;
      if (options.patience > 0) bestParameters.set(parameters);
    } else if (options.patience > 0 && epoch - state.bestEpoch >= options.patience) {
      state.stopped = true;
    }
    state.epoch++;
    state.batch = 0;
    state.loss = 0;
    state.correct = 0;
    epochStarted = performance.now();
  }
  // Before the best weights are put back: resuming a finished run gives its result again.
  await keep();
  if (options.patience > 0) parameters.set(bestParameters);
  return {
    epochs: state.reports,
    best: options.patience > 0 ? state.bestEpoch : state.reports.length,
  };
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
