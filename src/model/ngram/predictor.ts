import { hashWindow, mix } from '../../sequences/window-counter.ts';
import type { Predictions, WindowSet } from '../../sequences/windows.ts';
import { type SmoothedTree, smoothTree } from './smoothing.ts';
import { ContextIndex, type NgramTable } from './table.ts';

/**
 * Predicts windows from a table whose distributions are worked out once: the longest known context of
 * a window decides everything, so that a prediction is one search for it and, most often, one look at
 * its entries. Holds scratch memory, so each thread needs its own.
 */
export class NgramPredictor {
  readonly #table: NgramTable;
  readonly #index: ContextIndex;
  readonly #smoothed: SmoothedTree;
  /** Most probable target of each context, the smallest of several, and its probability. */
  readonly #best: Int32Array;
  readonly #bestProbability: Float64Array;
  /** How often that is right. */
  readonly #confidence: Float32Array;
  /** Stamp of the window that saw each class; for ranks. */
  readonly #seen: Int32Array;
  #stamp = 0;

  /** @param calibrate  what a confidence is worth, see `Calibration` */
  constructor(table: NgramTable, calibrate: (confidence: number) => number) {
    const { parts, rule, outputClasses } = table;
    this.#table = table;
    this.#index = new ContextIndex(parts);
    this.#smoothed = smoothTree(parts, rule, outputClasses);
    const { parents, starts, targets } = parts;
    const { probabilities, backoffs, floor } = this.#smoothed;
    this.#best = new Int32Array(parents.length);
    this.#bestProbability = new Float64Array(parents.length);
    this.#confidence = new Float32Array(parents.length);
    this.#seen = new Int32Array(outputClasses);
    for (let context = 0; context < parents.length; context++) {
      // If the shorter context's best is no entry here, it is the best of those that are none.
      let best = context === 0 ? 0 : this.#best[parents[context]];
      let most =
        context === 0 ? floor : this.#bestProbability[parents[context]] * backoffs[context];
      for (let entry = starts[context]; entry < starts[context + 1]; entry++) {
        const p = probabilities[entry];
        if (p > most || (p === most && targets[entry] < best)) {
          most = p;
          best = targets[entry];
        }
      }
      this.#best[context] = best;
      this.#bestProbability[context] = most;
      this.#confidence[context] = calibrate(most);
    }
  }

  /** Predicts the windows from index `from` up to `to` into `into`. */
  predict(windows: WindowSet, from: number, to: number, into: Predictions): void {
    const n = windows.windowLength;
    if (this.#table.smoothing === 'none') {
      this.#draw(windows, from, to, into);
      return;
    }
    for (let i = from; i < to; i++) {
      const context = this.#index.find(windows.symbols, (i + 1) * n);
      const target = windows.targets[i];
      const best = this.#best[context];
      into.predicted[i] = best;
      into.confidence[i] = this.#confidence[context];
      if (best === target) {
        into.targetProbability[i] = this.#bestProbability[context];
        into.targetRank[i] = 0;
      } else {
        const own = this.#probability(context, target);
        into.targetProbability[i] = own;
        into.targetRank[i] = this.#rank(context, target, own);
      }
    }
  }

  /**
   * Without smoothing, a target is drawn by its weight among those of the context; where training does
   * not know the context, all classes are equal. What is drawn depends on the seed and the window only.
   */
  #draw(windows: WindowSet, from: number, to: number, into: Predictions): void {
    const { outputClasses, parts } = this.#table;
    const { starts, targets } = parts;
    const { probabilities } = this.#smoothed;
    const n = windows.windowLength;
    for (let i = from; i < to; i++) {
      const context = this.#index.find(windows.symbols, (i + 1) * n);
      const target = windows.targets[i];
      const hash = hashWindow(windows.symbols, i * n, n);
      let left = (mix(hash ^ mix(this.#table.seed)) >>> 0) / 2 ** 32;
      let drawn = Math.floor(left * outputClasses);
      let confidence = 1 / outputClasses;
      let own = confidence;
      if (context > 0) {
        own = 0;
        for (let entry = starts[context]; entry < starts[context + 1]; entry++) {
          const p = probabilities[entry];
          if (targets[entry] === target) own = p;
          if (left >= 0) {
            drawn = targets[entry];
            confidence = p;
          }
          left -= p;
        }
      }
      into.predicted[i] = drawn;
      into.confidence[i] = confidence;
      into.targetProbability[i] = own;
      into.targetRank[i] = drawn === target ? 0 : 1;
    }
  }

  #probability(context: number, target: number): number {
    const { parents, starts, targets } = this.#table.parts;
    const { probabilities, backoffs, floor } = this.#smoothed;
    let weight = 1;
    for (let at = context; ; at = parents[at]) {
      let low = starts[at];
      let high = starts[at + 1];
      while (high - low > 1) {
        const middle = (low + high) >>> 1;
        if (targets[middle] <= target) low = middle;
        else high = middle;
      }
      if (targets[low] === target) return weight * probabilities[low];
      if (at === 0) return weight * floor;
      weight *= backoffs[at];
    }
  }

  /**
   * @param own  probability of `target`
   * @returns how many classes come before it: the more probable ones, and equal ones below it
   */
  #rank(context: number, target: number, own: number): number {
    const { parents, starts, targets } = this.#table.parts;
    const { probabilities, backoffs, floor } = this.#smoothed;
    const stamp = ++this.#stamp;
    let rank = 0;
    let weight = 1;
    /** Classes below the target that some context has as an entry. */
    let listed = 0;
    for (let at = context; at >= 0 && weight * this.#bestProbability[at] >= own; at = parents[at]) {
      for (let entry = starts[at]; entry < starts[at + 1]; entry++) {
        const other = targets[entry];
        if (this.#seen[other] === stamp) continue;
        this.#seen[other] = stamp;
        if (other < target) listed++;
        const p = weight * probabilities[entry];
        if (p > own || (p === own && other < target)) rank++;
      }
      // What no context lists has the floor, all of them alike.
      if (at === 0 && own === weight * floor) rank += target - listed;
      weight *= backoffs[at];
    }
    return rank;
  }
}
