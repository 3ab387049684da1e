import { transferForms } from '../../evidence/transfer-code.ts';
import { deepestLevels, historyLevels } from '../../sequences/histories/levels.ts';
import type { EventView } from './event-view.ts';

const histories = deepestLevels.length;
/** Levels of each history, shorter ones first: the instruction, the block, then the history itself. */
const chains: readonly Int32Array[] = deepestLevels.map((deepest) => {
  const chain: number[] = [];
  for (let level = deepest; level >= 0; level = historyLevels[level].parent) chain.unshift(level);
  return Int32Array.from(chain);
});
const steps = Math.max(...chains.map(({ length }) => length));

/** Parameters: where each kind begins. */
const depthsAt = 0;
const countsAt = depthsAt + histories * steps * steps;
const shareAt = countsAt + histories * 3 * 4 * 3 * 3 * 2;
const newDepthAt = shareAt + histories * steps;
const newPlaceAt = newDepthAt + histories * steps * 3 * 8;
const newFormAt = newPlaceAt + 6 * 8;
export const mixtureWeights: number = newFormAt + transferForms.length;

/** Features of a candidate: three a history. */
const width = 3 * histories;

/** The weights of a mixture, and for learning the sums of their squared gradients. */
export interface MixtureWeights {
  readonly weights: Float64Array;
  readonly squares: Float64Array;
}

/** Before anything is learned: longer contexts know better, and shares are believed a quarter each. */
export function firstWeights(): MixtureWeights {
  const weights = new Float64Array(mixtureWeights);
  for (let history = 0; history < histories; history++) {
    for (let deepest = 0; deepest < steps; deepest++) {
      weights[shareAt + history * steps + deepest] = 1 / histories;
      for (let depth = 0; depth <= deepest; depth++) {
        const at = depthsAt + (history * steps + deepest) * steps + depth;
        weights[at] = -0.5 * (deepest - depth);
      }
    }
  }
  return { weights, squares: new Float64Array(mixtureWeights).fill(1e-8) };
}

/**
 * One distribution over the targets of an event from what its histories say: log-linear, as the mixing of
 * context-mixing compressors (Mahoney, "Adaptive weighing of context models for lossless data
 * compression", 2005), over any number of targets.
 *
 * A candidate is judged by, for each history, how long its longest context is against the longest that is
 * known at all, how much was seen of it there, whether this run went there the last time, and its share
 * there. Beside the candidates stands one target that the place never showed.
 */
export class Mixture {
  readonly #weights: Float64Array;
  readonly #squares: Float64Array;
  /** By candidate. */
  probability: Float64Array<ArrayBuffer> = new Float64Array(256);
  /** Of all targets that are no candidate, together. */
  novel = 1;
  /** Most probable candidate; -1 = none is as probable as something new. */
  best = -1;
  #candidates = 0;
  /** Features of each candidate: parameter, and what it is multiplied with. */
  #features: Int32Array<ArrayBuffer> = new Int32Array(256 * width);
  #values: Float64Array<ArrayBuffer> = new Float64Array(256 * width);
  readonly #newFeatures = new Int32Array(2 + histories);
  /** Deepest step of a candidate in the history at hand, and its cell there. */
  #step: Int32Array<ArrayBuffer> = new Int32Array(256);
  #cell: Int32Array<ArrayBuffer> = new Int32Array(256);

  constructor({ weights, squares }: MixtureWeights) {
    this.#weights = weights;
    this.#squares = squares;
  }

  read(view: EventView, form: number): void {
    const n = view.candidates.length;
    this.#candidates = n;
    if (n > this.probability.length) this.#grow(2 * n);
    const { trainedCount, ownCount, candidate, from, kinds, most, last } = view;
    const features = this.#features;
    const values = this.#values;
    const step = this.#step;
    const cellOf = this.#cell;
    for (let history = 0; history < histories; history++) {
      const chain = chains[history];
      let deepest = 0;
      for (let depth = 0; depth < chain.length; depth++) {
        const level = chain[depth];
        if (kinds[level] === 0) {
          // The instruction may be known where the block that ends in it is not; not so further on.
          if (depth > 1) break;
          continue;
        }
        deepest = depth;
        for (let cell = from[level]; cell < from[level + 1]; cell++) {
          step[candidate[cell]] = depth;
          cellOf[candidate[cell]] = cell;
        }
      }
      for (let i = 0; i < n; i++) {
        const depth = step[i];
        const level = chain[depth];
        const cell = cellOf[i];
        const trained = trainedCount[cell];
        const own = ownCount[cell];
        const behind = deepest - depth;
        const at = i * width + 3 * history;
        features[at] = depthsAt + (history * steps + deepest) * steps + depth;
        values[at] = 1;
        features[at + 1] =
          countsAt +
          ((((history * 3 + (behind < 2 ? behind : 2)) * 4 + runsBucket(trained)) * 3 +
            (own < 2 ? own : 2)) *
            3 +
            (kinds[level] < 2 ? 0 : kinds[level] === 2 ? 1 : 2)) *
            2 +
          (last[level] === i ? 1 : 0);
        values[at + 1] = 1;
        features[at + 2] = shareAt + history * steps + deepest;
        values[at + 2] = Math.log((trained + own) / (view.trainedSum[level] + view.ownSum[level]));
      }
      const level = chain[deepest];
      const kind = kinds[level] < 2 ? 0 : kinds[level] === 2 ? 1 : 2;
      this.#newFeatures[2 + history] =
        newDepthAt + ((history * steps + deepest) * 3 + kind) * 8 + logBucket(most[level]);
    }
    this.#newFeatures[0] = newPlaceAt + kindsBucket(kinds[0]) * 8 + logBucket(most[0]);
    this.#newFeatures[1] = newFormAt + form;
    this.#normalize(n);
  }

  #normalize(n: number): void {
    const weights = this.#weights;
    const { probability } = this;
    let novel = 0;
    for (const feature of this.#newFeatures) novel += weights[feature];
    let highest = novel;
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let at = i * width; at < (i + 1) * width; at++) {
        sum += weights[this.#features[at]] * this.#values[at];
      }
      probability[i] = sum;
      if (sum > highest) highest = sum;
    }
    let total = Math.exp(novel - highest);
    for (let i = 0; i < n; i++) {
      probability[i] = Math.exp(probability[i] - highest);
      total += probability[i];
    }
    this.novel = n === 0 ? 1 : Math.exp(novel - highest) / total;
    this.best = -1;
    let most = this.novel;
    for (let i = 0; i < n; i++) {
      probability[i] /= total;
      if (probability[i] > most) {
        most = probability[i];
        this.best = i;
      }
    }
  }

  /**
   * Moves the weights towards what came after the event read last (AdaGrad: Duchi, Hazan and Singer,
   * "Adaptive subgradient methods for online learning and stochastic optimization", 2011).
   *
   * @param came  candidate, or -1 for a target that is none
   */
  learn(came: number, rate: number): void {
    const n = this.#candidates;
    if (n === 0) return;
    for (let i = 0; i < n; i++) {
      const error = this.probability[i] - (i === came ? 1 : 0);
      if (Math.abs(error) < 1e-7) continue;
      for (let at = i * width; at < (i + 1) * width; at++) {
        this.#move(this.#features[at], error * this.#values[at], rate);
      }
    }
    const error = this.novel - (came < 0 ? 1 : 0);
    if (Math.abs(error) < 1e-9) return;
    for (const feature of this.#newFeatures) this.#move(feature, error, rate);
  }

  #move(feature: number, gradient: number, rate: number): void {
    this.#squares[feature] += gradient * gradient;
    this.#weights[feature] -= (rate * gradient) / Math.sqrt(this.#squares[feature]);
  }

  #grow(room: number): void {
    this.probability = new Float64Array(room);
    this.#features = new Int32Array(room * width);
    this.#values = new Float64Array(room * width);
    this.#step = new Int32Array(room);
    this.#cell = new Int32Array(room);
  }
}

function runsBucket(runs: number): number {
  return runs <= 1 ? runs : runs < 4 ? 2 : 3;
}

function kindsBucket(kinds: number): number {
  return kinds <= 2 ? kinds : kinds <= 4 ? 3 : kinds <= 8 ? 4 : 5;
}

/** 0, 1, 2-3, 4-7, ... up to 7. */
function logBucket(count: number): number {
  return Math.min(7, 32 - Math.clz32(count));
}
