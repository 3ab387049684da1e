import { hashWindow, WindowCounter } from '../sequences/window-counter.ts';
import type { Predictions, WindowSet } from '../sequences/windows.ts';
import type { FirstLayer, RunContext } from './first-layer.ts';

/** Windows kept: about 45 MB of 32 blocks each. */
const defaultLimit = 1 << 18;

/**
 * Predicts each distinct window once: traces of one program share nearly all of theirs. After ten
 * traces a new one brings some hundred windows out of 15,000.
 */
export class PredictionCache {
  readonly #layer: FirstLayer;
  readonly #limit: number;
  #known: WindowCounter;
  /** By index into `#known`; doubles of `Predictions`. */
  #values = emptyPredictions(0);
  /** Requests follow each other, as each relies on what the one before has left. */
  #last: Promise<unknown> = Promise.resolve();

  /** @param limit  windows kept; more than that are forgotten all at once */
  constructor(layer: FirstLayer, limit: number = defaultLimit) {
    this.#layer = layer;
    this.#limit = limit;
    this.#known = new WindowCounter(layer.windowLength);
  }

  /** @returns what `layer.predict` returns */
  predict(windows: WindowSet, context: RunContext): Promise<Predictions> {
    const result = this.#last.then(() => this.#predict(windows, context));
    this.#last = result.catch(() => {});
    return result;
  }

  async #predict(windows: WindowSet, context: RunContext): Promise<Predictions> {
    const { length, windowLength: n, symbols, targets } = windows;
    if (this.#known.length > this.#limit) this.#known = new WindowCounter(n);
    const before = this.#known.length;
    const index = new Int32Array(length);
    for (let i = 0; i < length; i++) {
      const hash = hashWindow(symbols, i * n, n);
      index[i] = this.#known.add(symbols, i * n, hash, targets[i]);
    }
    const { length: after } = this.#known;
    if (after > before) {
      try {
        const news = await this.#layer.predict(
          {
            length: after - before,
            windowLength: n,
            symbols: this.#known.symbols.subarray(before * n, after * n),
            targets: this.#known.targets.subarray(before, after),
            counts: this.#known.counts.subarray(before, after),
          },
          context,
        );
        if (this.#values.predicted.length < after) {
          this.#values = copyInto(emptyPredictions(after * 2), this.#values, 0);
        }
        copyInto(this.#values, news, before);
      } catch (error) {
        // What was not predicted must not look as if it were.
        this.#known = new WindowCounter(n);
        throw error;
      }
    }
    const values = this.#values;
    return {
      predicted: Int32Array.from(index, (i) => values.predicted[i]),
      confidence: Float32Array.from(index, (i) => values.confidence[i]),
      targetProbability: Float32Array.from(index, (i) => values.targetProbability[i]),
      targetRank: Int32Array.from(index, (i) => values.targetRank[i]),
    };
  }
}

function emptyPredictions(length: number): Predictions {
  return {
    predicted: new Int32Array(length),
    confidence: new Float32Array(length),
    targetProbability: new Float32Array(length),
    targetRank: new Int32Array(length),
  };
}

/** @returns `target`, which holds `source` from `offset` on */
function copyInto(target: Predictions, source: Predictions, offset: number): Predictions {
  target.predicted.set(source.predicted, offset);
  target.confidence.set(source.confidence, offset);
  target.targetProbability.set(source.targetProbability, offset);
  target.targetRank.set(source.targetRank, offset);
  return target;
}
