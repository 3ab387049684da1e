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
  /** Need not be whole: 0.5 ends with half an epoch's windows. */
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
  const run = new TrainingRun(lstm, windows, options, context);
  if (options.checkpoint?.resume) {
    // For metrics that are written anew.
    for (const report of await run.resume(options.checkpoint.path)) await onEpoch(report);
  }
  run.begin();
  while (!run.isOver) await onEpoch(await run.epoch());
  return run.finish();
}

/** Training under way: epochs of batches, and what a checkpoint keeps of them. */
class TrainingRun {
  readonly #lstm: Lstm;
  readonly #windows: WindowSet;
  readonly #options: TrainOptions;
  readonly #context: RunContext;
  readonly #order: WindowOrder;
  readonly #optimizer: Optimizer;
  readonly #step: TrainingStep;
  readonly #random: Random;
  readonly #keepsBest: boolean;
  /** In all epochs. */
  readonly #batches: number;
  readonly #bestParameters: Float32Array<ArrayBuffer>;
  /** Identity of the run, so that no checkpoint of another is taken; empty without checkpoints. */
  readonly #identity: string;
  #state: RunState;
  #epochStarted = 0;
  #kept = 0;
  #pace: Pace | undefined;

  constructor(lstm: Lstm, windows: WindowSet, options: TrainOptions, context: RunContext) {
    this.#lstm = lstm;
    this.#windows = windows;
    this.#options = options;
    this.#context = context;
    const { epochs, batchSize, weighting, seed, patience } = options;
    const { length } = parameterLayout(lstm.shape);
    this.#order = new WindowOrder(windows.counts, weighting, batchSize, seed);
    this.#batches = Math.max(1, Math.round(this.#order.batchesPerEpoch * epochs));
    this.#optimizer = new Optimizer({ ...options.optimizer, totalSteps: this.#batches }, length);
    this.#step = new TrainingStep(lstm, windows, this.#optimizer);
    this.#random = new Random(seed);
    this.#keepsBest = options.keepBest || patience > 0;
    this.#bestParameters = new Float32Array(this.#keepsBest ? length : 0);
    const decisive = { epochs, batchSize, weighting, seed, patience, keepsBest: this.#keepsBest };
    const identity = { ...decisive, optimizer: this.#optimizer.options };
    this.#identity = options.checkpoint === undefined ? '' : runIdentity(lstm, windows, identity);
    this.#state = {
      ...epochStart,
      epoch: 1,
      seconds: 0,
      serial: 0,
      step: 0,
      random: this.#random.state,
      best: null,
      bestEpoch: 0,
      stopped: false,
      reports: [],
    };
  }

  /** Goes on where a checkpoint was written. @returns the epochs that it had done */
  async resume(path: string): Promise<readonly EpochReport[]> {
    const saved = await readCheckpoint<RunState>(path, this.#identity);
    const optimizer = this.#optimizer;
    this.#state = saved.facts;
    this.#lstm.parameters.set(saved.parameters);
    optimizer.squares.set(saved.squares);
    optimizer.means.set(saved.means);
    this.#bestParameters.set(saved.bestParameters);
    optimizer.step = saved.facts.step;
    this.#step.serial = saved.facts.serial;
    this.#random.state = saved.facts.random;
    return saved.facts.reports;
  }

  /** Starts the clocks. */
  begin(): void {
    const { epoch, windows, seconds } = this.#state;
    const last = Math.ceil(this.#batches / this.#order.batchesPerEpoch);
    const all = (last - 1) * this.#windows.length + this.#windowsOf(last);
    this.#epochStarted = performance.now() - seconds * 1000;
    this.#pace = new Pace(all, (epoch - 1) * this.#windows.length + windows);
    this.#kept = performance.now();
  }

  get isOver(): boolean {
    return this.#state.stopped || this.#batchesOf(this.#state.epoch) <= 0;
  }

  /** Batches of an epoch: the last one need not be whole. */
  #batchesOf(epoch: number): number {
    const each = this.#order.batchesPerEpoch;
    return Math.min(each, this.#batches - (epoch - 1) * each);
  }

  #windowsOf(epoch: number): number {
    return Math.min(this.#windows.length, this.#batchesOf(epoch) * this.#options.batchSize);
  }

  /** One epoch, or what is left of it. */
  async epoch(): Promise<EpochReport> {
    const state = this.#state;
    for (; state.batch < this.#batchesOf(state.epoch); state.batch++) {
      await this.#keepWhenDue();
      await this.#batch();
    }
    const { epoch, loss, correct, windows } = state;
    const report: EpochReport = {
      epoch,
      loss: loss / windows,
      accuracy: correct / windows,
      windows,
      seconds: (performance.now() - this.#epochStarted) / 1000,
    };
    state.reports.push(report);
    this.#compareWithBest(report);
    this.#state = { ...state, ...epochStart, epoch: epoch + 1 };
    this.#epochStarted = performance.now();
    return report;
  }

  async finish(): Promise<TrainReport> {
    // Before the best weights are put back: resuming a finished run gives its result again.
    await this.#keep();
    const { reports, bestEpoch } = this.#state;
    if (this.#keepsBest) this.#lstm.parameters.set(this.#bestParameters);
    return { epochs: reports, best: this.#keepsBest ? bestEpoch : reports.length };
  }

  async #batch(): Promise<void> {
    const state = this.#state;
    const { epoch, batch } = state;
    const { loss, correct } = await this.#step.run(this.#order.take(epoch, batch, this.#random));
    if (!Number.isFinite(loss)) {
      throw new UserError(
        'loss-not-finite',
        `the loss is ${loss} in epoch ${epoch}: a smaller --learning-rate may help`,
        { category: 'runtime' },
      );
    }
    state.windows += this.#order.sizeOf(batch);
    state.loss += loss;
    state.correct += correct;
    const before = (epoch - 1) * this.#windows.length;
    this.#context.progress({
      step: `training, epoch ${epoch}/${Math.ceil(this.#options.epochs)}`,
      done: state.windows,
      total: this.#windowsOf(epoch),
      unit: 'windows',
      facts: {
        loss: state.loss / state.windows,
        accuracy: state.correct / state.windows,
        ...this.#pace?.facts(before + state.windows),
      },
    });
  }

  #compareWithBest({ epoch, loss }: EpochReport): void {
    const state = this.#state;
    const { patience } = this.#options;
    if (state.best === null || loss < state.best) {
      state.best = loss;
      state.bestEpoch = epoch;
      if (this.#keepsBest) this.#bestParameters.set(this.#lstm.parameters);
    } else if (patience > 0 && epoch - state.bestEpoch >= patience) {
      state.stopped = true;
    }
  }

  /** Writes a checkpoint when it is time, and when the run is interrupted, which ends it. */
  async #keepWhenDue(): Promise<void> {
    const { signal } = this.#context;
    if (signal?.aborted) {
      await this.#keep();
      signal.throwIfAborted();
    }
    const { checkpoint } = this.#options;
    if (checkpoint === undefined) return;
    if (performance.now() - this.#kept < checkpoint.everySeconds * 1000) return;
    await this.#keep();
    this.#kept = performance.now();
  }

  async #keep(): Promise<void> {
    const { checkpoint } = this.#options;
    if (checkpoint === undefined) return;
    const state = this.#state;
    const { squares, means, step } = this.#optimizer;
    state.step = step;
    state.serial = this.#step.serial;
    state.random = this.#random.state;
    state.seconds = (performance.now() - this.#epochStarted) / 1000;
    await writeCheckpoint(checkpoint.path, this.#identity, {
      facts: state,
      parameters: this.#lstm.parameters,
      squares,
      means,
      bestParameters: this.#bestParameters,
    });
    await checkpoint.onCheckpoint?.();
  }
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
