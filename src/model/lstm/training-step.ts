import type { WindowSet } from '../../sequences/windows.ts';
import type { Lstm } from './lstm.ts';
import type { Optimizer } from './optimizer.ts';
import { parameterLayout } from './shape.ts';
import type { PlannedBatch } from './window-order.ts';
import type { GradientJob, GradientResult } from './worker.ts';

/** Windows of one session run: large enough for fast products, small enough for two workers to share a batch. */
const microBatch = 256;

export interface StepResult {
  /** Summed over the batch, weighted. */
  readonly loss: number;
  /** Weight of the windows that were predicted correctly. */
  readonly correct: number;
}

/**
 * One step of training: the batch's gradients from all workers, summed, and the optimizer's step.
 *
 * Micro-batches are cut and summed in a fixed order, so that the result does not depend on the
 * number of workers.
 */
export class TrainingStep {
  readonly #lstm: Lstm;
  readonly #windows: WindowSet;
  readonly #optimizer: Optimizer;
  /** One for each micro-batch of the largest batch, dense parameters only. */
  readonly #gradients: Float32Array[] = [];
  readonly #denseOffset: number;
  readonly #denseLength: number;
  /** Micro-batches so far; their numbers seed the dropout. */
  serial = 0;

  constructor(lstm: Lstm, windows: WindowSet, optimizer: Optimizer) {
    this.#lstm = lstm;
    this.#windows = windows;
    this.#optimizer = optimizer;
    const { denseOffset, length } = parameterLayout(lstm.shape);
    this.#denseOffset = denseOffset;
    this.#denseLength = length - denseOffset;
  }

  /** Gradients are those of the batch's mean loss. Nothing changes when the loss is no number. */
  async run(batch: PlannedBatch): Promise<StepResult> {
    const { pool } = this.#lstm;
    const size = batch.indices.length;
    const jobs: Promise<GradientResult>[] = [];
    for (let from = 0; from < size; from += microBatch) {
      const micro = jobs.length;
      jobs.push(
        pool.gradient(micro % pool.size, {
          ...this.#gather(batch, from, Math.min(size, from + microBatch)),
          serial: this.serial++,
          gradient: this.#gradientOf(micro),
        }),
      );
    }
    const results = await Promise.all(jobs);
    const total = (of: (result: GradientResult) => number): number =>
      size * results.reduce((sum, result) => sum + of(result), 0);
    const loss = total((result) => result.loss);
    if (Number.isFinite(loss)) this.#take(results);
    return { loss, correct: total((result) => result.correct) };
  }

  #gradientOf(micro: number): Float32Array {
    this.#gradients[micro] ??= new Float32Array(new SharedArrayBuffer(this.#denseLength * 4));
    return this.#gradients[micro];
  }

  #gather(
    { indices, weights }: PlannedBatch,
    from: number,
    to: number,
  ): Pick<GradientJob, 'symbols' | 'targets' | 'weights' | 'ownWeights'> {
    const { symbols, targets, counts, windowLength: n } = this.#windows;
    const job = {
      symbols: new Int32Array((to - from) * n),
      targets: new Int32Array(to - from),
      weights: new Float32Array(to - from),
      ownWeights: new Float32Array(to - from),
    };
    for (let i = from; i < to; i++) {
      const row = i - from;
      const index = indices[i];
      job.symbols.set(symbols.subarray(index * n, (index + 1) * n), row * n);
      job.targets[row] = targets[index];
      job.weights[row] = weights[i] / indices.length;
      job.ownWeights[row] = this.#lstm.prior?.weightOf(counts[index]) ?? 0;
    }
    return job;
  }

  #take(results: readonly GradientResult[]): void {
    const { parameters, shape } = this.#lstm;
    const { embedding } = shape;
    const optimizer = this.#optimizer;
    const [dense, ...others] = this.#gradients.slice(0, results.length);
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
    const { clipNorm } = optimizer.options;
    let scale = 1;
    if (clipNorm > 0) {
      let squares = 0;
      for (let i = 0; i < dense.length; i++) squares += dense[i] * dense[i];
      for (const row of tokens.values()) for (const g of row) squares += g * g;
      const norm = Math.sqrt(squares);
      if (norm > clipNorm) scale = clipNorm / norm;
    }
    const rate = optimizer.begin();
    optimizer.update(parameters, this.#denseOffset, dense, 0, dense.length, rate, scale);
    for (const [token, row] of tokens) {
      optimizer.update(parameters, token * embedding, row, 0, embedding, rate, scale);
    }
  }
}
