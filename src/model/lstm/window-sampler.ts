import type { Random } from '../../base/random.ts';

/**
 * Draws windows with probability in proportion to their weights, by Walker's alias method.
 *
 * @see Vose, "A linear algorithm for generating random numbers with a given distribution" (1991)
 */
export class WindowSampler {
  readonly #threshold: Float64Array;
  readonly #alias: Int32Array;

  constructor(weights: Float64Array) {
    const n = weights.length;
    const mean = weights.reduce((sum, w) => sum + w, 0) / n;
    this.#threshold = new Float64Array(n).fill(1);
    this.#alias = Int32Array.from({ length: n }, (_, i) => i);
    const small: number[] = [];
    const large: number[] = [];
    const share = weights.map((w) => w / mean);
    share.forEach((s, i) => {
      (s < 1 ? small : large).push(i);
    });
    while (small.length > 0 && large.length > 0) {
      const below = small.pop() as number;
      const above = large[large.length - 1];
      this.#threshold[below] = share[below];
      this.#alias[below] = above;
      share[above] -= 1 - share[below];
      if (share[above] < 1) {
        large.pop();
        small.push(above);
      }
    }
  }

  /** @returns index of a window */
  draw(random: Random): number {
    const index = random.below(this.#threshold.length);
    return random.uniform() < this.#threshold[index] ? index : this.#alias[index];
  }
}
