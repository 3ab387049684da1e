import { type EventFeatures, firstWeights, histories, mixtureWeights } from './event-features.ts';

/**
 * One distribution over the targets of an event from what its histories say: log-linear, as the mixing of
 * context-mixing compressors (Mahoney, "Adaptive weighing of context models for lossless data
 * compression", 2005), over any number of targets. Beside the candidates stands one target that the place
 * never showed.
 */
export class Mixture {
  readonly weights: Float64Array;
  /** Sums of squared gradients, by weight; made when it first learns. */
  #squares: Float64Array | undefined;
  /** By candidate. */
  probability: Float64Array<ArrayBuffer> = new Float64Array(256);
  /** Of all targets that are no candidate, together. */
  novel = 1;
  /** Most probable candidate; -1 = none is as probable as something new. */
  best = -1;

  /** @param weights  that it goes on learning */
  constructor(weights: Float64Array = firstWeights()) {
    this.weights = weights;
  }

  weigh(features: EventFeatures): void {
    const { candidates, trainedCandidates, depths, counts, logShares, shares, novel } = features;
    if (candidates > this.probability.length) this.probability = new Float64Array(2 * candidates);
    const { weights, probability } = this;
    let novelSum = 0;
    for (let i = 0; i < novel.length; i++) novelSum += weights[novel[i]];
    let highest = novelSum;
    for (let i = 0; i < candidates; i++) {
      let sum = 0;
      for (let history = 0; history < histories; history++) {
        const at = i * histories + history;
        sum += weights[depths[at]];
        sum += weights[counts[at]];
        sum += weights[shares[history]] * logShares[at];
      }
      probability[i] = sum;
      if (sum > highest) highest = sum;
    }
    let total = Math.exp(novelSum - highest);
    for (let nth = 0; nth < candidates; nth++) {
      const i = inOrder(nth, trainedCandidates, candidates);
      probability[i] = Math.exp(probability[i] - highest);
      total += probability[i];
    }
    this.novel = candidates === 0 ? 1 : Math.exp(novelSum - highest) / total;
    this.best = -1;
    let most = this.novel;
    for (let nth = 0; nth < candidates; nth++) {
      const i = inOrder(nth, trainedCandidates, candidates);
      probability[i] /= total;
      if (probability[i] > most) {
        most = probability[i];
        this.best = i;
      }
    }
  }

  /**
   * Moves the weights towards what came after the event weighed last (AdaGrad: Duchi, Hazan and Singer,
   * "Adaptive subgradient methods for online learning and stochastic optimization", 2011).
   *
   * @param came  candidate, or -1 for a target that is none
   */
  learn(features: EventFeatures, came: number, rate: number): void {
    const { candidates, trainedCandidates, depths, counts, logShares, shares, novel } = features;
    if (candidates === 0) return;
    this.#squares ??= new Float64Array(mixtureWeights).fill(1e-8);
    const squares = this.#squares;
    const { weights } = this;
    const { probability } = this;
    for (let nth = 0; nth < candidates; nth++) {
      const i = inOrder(nth, trainedCandidates, candidates);
      const error = probability[i] - (i === came ? 1 : 0);
      if (Math.abs(error) < 1e-7) continue;
      for (let history = 0; history < histories; history++) {
        const at = i * histories + history;
        move(weights, squares, depths[at], error, rate);
        move(weights, squares, counts[at], error, rate);
        move(weights, squares, shares[history], error * logShares[at], rate);
      }
    }
    const error = this.novel - (came < 0 ? 1 : 0);
    if (Math.abs(error) < 1e-9) return;
    for (let i = 0; i < novel.length; i++) move(weights, squares, novel[i], error, rate);
  }
}

/**
 * @returns the nth candidate that is summed: those of training, then what the run has shown, the latest first.
 *   Any order would do, but sums depend on it, and so the last bits of what was written with it.
 */
export function inOrder(nth: number, trained: number, candidates: number): number {
  return nth < trained ? nth : candidates - 1 - (nth - trained);
}

function move(
  weights: Float64Array,
  squares: Float64Array,
  weight: number,
  gradient: number,
  rate: number,
): void {
  squares[weight] += gradient * gradient;
  weights[weight] -= (rate * gradient) / Math.sqrt(squares[weight]);
}
