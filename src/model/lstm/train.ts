import { UserError } from '../../base/errors.ts';
import { Random } from '../../base/random.ts';
import type { WindowSet } from '../../sequences/windows.ts';
import type { RunContext } from '../first-layer.ts';
import type { Lstm } from './lstm.ts';
import { Optimizer, type OptimizerOptions } from './optimizer.ts';
import { parameterLayout } from './shape.ts';
import { readCheckpoint, runIdentity, writeCheckpoint } from './training-checkpoint.ts';
import { TrainingStep } from './training-step.ts';
import { type Weighting, WindowOrder } from './window-order.ts';

export interface TrainOptions {
  readonly epochs: number;
  readonly batchSize: number;
  readonly optimizer: Omit<OptimizerOptions, 'totalSteps'>;
  readonly weighting: Weighting;
  readonly seed: number;
  /** End with the weights of the epoch that had the lowest loss, not with the last ones. */
  readonly keepBest: boolean;
  /** Epochs without a better loss after which training stops, keeping the best; 0 = never. */
  readonly patience: number;
  /** Where and how often the state of the run is kept; an interrupted run keeps it, too. */
  readonly checkpoint?: CheckpointOptions;
}

export interface CheckpointOptions {
  readonly path: string;
  readonly everySeconds: number;
  /** Go on from the file at `path`, to the same result as an unbroken run. */
  readonly resume: boolean;
  /** Called after each checkpoint, while the parameters stand still. */
  readonly onCheckpoint?: () => Promise<void>;
}

/** One line of the metrics. Loss and accuracy are those of the epoch's batches, dropout included. */
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
  /** Sums over the epoch's windows so far. */
  windows: number;
  loss: number;
  correct: number;
  /** Spent on the epoch before the run was interrupted. */
  seconds: number;
  serial: number;
  step: number;
  random: Random['state'];
  /** `null` before the first epoch ends. */
  best: number | null;
  bestEpoch: number;
  stopped: boolean;
  reports: EpochReport[];
}

const epochStart = { batch: 0, windows: 0, loss: 0, correct: 0 } as const;

/**
 * Trains a network in place.
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
  const { parameters } = lstm;
  const { length } = parameterLayout(lstm.shape);
  const { checkpoint, epochs, batchSize, weighting, seed, patience } = options;
  const keepsBest = options.keepBest || patience > 0;
  const order = new WindowOrder(windows.counts, weighting, batchSize, seed);
  const totalSteps = order.batchesPerEpoch * epochs;
  const optimizer = new Optimizer({ ...options.optimizer, totalSteps }, length);
  const step = new TrainingStep(lstm, windows, optimizer);
  const random = new Random(seed);
  const bestParameters = new Float32Array(keepsBest ? length : 0);
  const decisive = { epochs, batchSize, weighting, seed, patience, keepsBest };
  const identity = { ...decisive, optimizer: optimizer.options };
  const run = checkpoint === undefined ? '' : runIdentity(lstm, windows, identity);
  let state: RunState = {
    ...epochStart,
    epoch: 1,
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
    bestParameters.set(saved.bestParameters);
    optimizer.step = state.step;
    step.serial = state.serial;
    random.state = state.random;
    // For metrics that are written anew.
    for (const report of state.reports) await onEpoch(report);
  }
  let epochStarted = performance.now() - state.seconds * 1000;
  const keep = async (): Promise<void> => {
    if (checkpoint === undefined) return;
    state.step = optimizer.step;
    state.serial = step.serial;
    state.random = random.state;
    state.seconds = (performance.now() - epochStarted) / 1000;
    const { squares, means } = optimizer;
    const arrays = { parameters, squares, means, bestParameters };
    await writeCheckpoint(checkpoint.path, run, { facts: state, ...arrays });
    await checkpoint.onCheckpoint?.();
  };
  const pace = new Pace(
    epochs * windows.length,
    (state.epoch - 1) * windows.length + state.windows,
  );
  let kept = performance.now();
  while (!state.stopped && state.epoch <= epochs) {
    const { epoch } = state;
    for (; state.batch < order.batchesPerEpoch; state.batch++) {
      if (context.signal?.aborted) {
        await keep();
        context.signal.throwIfAborted();
      }
      if (checkpoint !== undefined && performance.now() - kept >= checkpoint.everySeconds * 1000) {
        await keep();
        kept = performance.now();
      }
      const { loss, correct } = await step.run(order.take(epoch, state.batch, random));
      if (!Number.isFinite(loss)) {
        throw new UserError(
          'loss-not-finite',
          `the loss is ${loss} in epoch ${epoch}: a smaller --learning-rate may help`,
          { category: 'runtime' },
        );
      }
      state.windows += order.sizeOf(state.batch);
      state.loss += loss;
      state.correct += correct;
      context.progress({
        step: `training, epoch ${epoch}/${epochs}`,
        done: state.windows,
        total: windows.length,
        unit: 'windows',
        facts: {
          loss: state.loss / state.windows,
          accuracy: state.correct / state.windows,
          ...pace.facts((epoch - 1) * windows.length + state.windows),
        },
      });
    }
    const report: EpochReport = {
      epoch,
      loss: state.loss / state.windows,
      accuracy: state.correct / state.windows,
      windows: state.windows,
      seconds: (performance.now() - epochStarted) / 1000,
    };
    state.reports.push(report);
    await onEpoch(report);
    if (state.best === null || report.loss < state.best) {
      state.best = report.loss;
      state.bestEpoch = epoch;
      if (keepsBest) bestParameters.set(parameters);
    } else if (patience > 0 && epoch - state.bestEpoch >= patience) {
      state.stopped = true;
    }
    state = { ...state, ...epochStart, epoch: epoch + 1 };
    epochStarted = performance.now();
  }
  // Before the best weights are put back: resuming a finished run gives its result again.
  await keep();
  if (keepsBest) parameters.set(bestParameters);
  return { epochs: state.reports, best: keepsBest ? state.bestEpoch : state.reports.length };
}

/** Windows a second and time left, since this process began. */
class Pace {
  readonly #total: number;
  readonly #before: number;
  readonly #started = performance.now();

  constructor(total: number, before: number) {
    this.#total = total;
    this.#before = before;
  }

  facts(done: number): { readonly 'windows/s': number; readonly left: string } {
    const perSecond = (1000 * (done - this.#before)) / (performance.now() - this.#started);
    const seconds = (this.#total - done) / perSecond;
    return { 'windows/s': perSecond, left: `${Math.ceil(seconds)} s` };
  }
}
