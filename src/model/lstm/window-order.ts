import { Random } from '../../base/random.ts';
import { WindowSampler } from './window-sampler.ts';

/** Which windows training takes, in what order, and what they weigh. */
export interface Weighting {
  /**
   * `drawn`: windows are drawn with probability in proportion to their weight and count alike in the
   * loss; `shuffled`: an epoch takes every distinct window once, in a new order, and the loss weighs
   * them.
   */
  readonly order: 'drawn' | 'shuffled';
  /** A window weighs `min(count, cap) ** power`: 1 = every occurrence, 0 = every distinct window alike. */
  readonly power: number;
  /** 0 = none. */
  readonly cap: number;
}

/** Windows of one batch: indices into the set, and their weights in the loss, which average 1. */
export interface PlannedBatch {
  readonly indices: Int32Array;
  readonly weights: Float32Array;
}

/** Plans the batches of an epoch; an epoch has as many windows as there are distinct ones. */
export class WindowOrder {
  readonly batchesPerEpoch: number;
  readonly #length: number;
  readonly #batchSize: number;
  readonly #seed: number;
  readonly #sampler: WindowSampler | undefined;
  /** Loss weights for `shuffled`; empty for `drawn`. */
  readonly #weights: Float64Array;
  #shuffled: Int32Array = new Int32Array(0);
  #epoch = -1;

  constructor(counts: Float64Array, weighting: Weighting, batchSize: number, seed: number) {
    const { order, power } = weighting;
    const cap = weighting.cap || Number.POSITIVE_INFINITY;
    this.#length = counts.length;
    this.#batchSize = batchSize;
    this.#seed = seed;
    this.batchesPerEpoch = Math.ceil(counts.length / batchSize);
    const weights = counts.map((count) => Math.min(count, cap) ** power);
    if (order === 'drawn') {
      this.#sampler = new WindowSampler(weights);
      this.#weights = new Float64Array(0);
    } else {
      const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
      this.#weights = weights.map((weight) => weight / mean);
    }
  }

  /** Windows in batch `batch` of an epoch: the last one holds what is left. */
  sizeOf(batch: number): number {
    return Math.min(this.#batchSize, this.#length - batch * this.#batchSize);
  }

  /** @param random  used for `drawn` only; `shuffled` depends on seed, epoch and batch alone */
  take(epoch: number, batch: number, random: Random): PlannedBatch {
    const size = this.sizeOf(batch);
    const sampler = this.#sampler;
    if (sampler !== undefined) {
      const indices = Int32Array.from({ length: size }, () => sampler.draw(random));
      return { indices, weights: new Float32Array(size).fill(1) };
    }
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      const all = Int32Array.from({ length: this.#length }, (_, index) => index);
      this.#shuffled = new Random(this.#seed + epoch * 0x9e3779b1).shuffle(all);
    }
    const from = batch * this.#batchSize;
    const indices = this.#shuffled.slice(from, from + size);
    return { indices, weights: Float32Array.from(indices, (index) => this.#weights[index]) };
  }
}
