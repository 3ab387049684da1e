import { enlarged } from '../../base/bytes/typed-array.ts';
import { transferForms } from '../../evidence/transfer-code.ts';
import { chains, type EventView, histories } from './event-view.ts';
import { ownBits, ownMask } from './run-contexts.ts';

const steps = Math.max(...chains.map(({ length }) => length));

/** Weights: where each kind begins. */
const depthsAt = 0;
const countsAt = depthsAt + histories * steps * steps;
const shareAt = countsAt + histories * 3 * 4 * 3 * 3 * 2;
const newDepthAt = shareAt + histories * steps;
const newPlaceAt = newDepthAt + histories * steps * 3 * 8;
const newFormAt = newPlaceAt + 6 * 8;
export const mixtureWeights: number = newFormAt + transferForms.length;

/** Before anything is learned: longer contexts know better, and shares are believed a quarter each. */
export function firstWeights(): Float64Array {
  const weights = new Float64Array(mixtureWeights);
  for (let history = 0; history < histories; history++) {
    for (let deepest = 0; deepest < steps; deepest++) {
      weights[shareAt + history * steps + deepest] = 1 / histories;
      for (let step = 0; step <= deepest; step++) {
        const at = depthsAt + (history * steps + deepest) * steps + step;
        weights[at] = -0.5 * (deepest - step);
      }
    }
  }
  return weights;
}

/** Shares of up to so many are looked up: a logarithm takes longer. */
const mostInTable = 255;
const logarithms = new Float64Array((mostInTable + 1) * (mostInTable + 1)).fill(Number.NaN);

/**
 * By which weights each candidate of an event is judged, and what stands beside them for all that the place
 * never showed. Overwritten by the next `read`.
 *
 * A candidate has, for each history, a weight for how long its longest context is against the longest that is
 * known at all, one for how much was seen of it there and whether this run went there the last time, and one
 * for its share there, which is multiplied with the share's logarithm.
 */
export class EventFeatures {
  candidates = 0;
  trainedCandidates = 0;
  /** `[candidates, histories]`. */
  depths: Int32Array<ArrayBuffer> = new Int32Array(64 * histories);
  counts: Int32Array<ArrayBuffer> = new Int32Array(64 * histories);
  logShares: Float64Array<ArrayBuffer> = new Float64Array(64 * histories);
  /** By history, of all candidates. */
  readonly shares: Int32Array = new Int32Array(histories);
  /** Of what the place never showed. */
  readonly novel: Int32Array = new Int32Array(2 + histories);

  read(view: EventView, form: number): void {
    const { candidates, trainedCandidates, deepest, step, seen, kinds, sum, most, last } = view;
    this.candidates = candidates;
    this.trainedCandidates = trainedCandidates;
    if (candidates * histories > this.depths.length) this.#grow(2 * candidates * histories);
    const { depths, counts, logShares, shares, novel } = this;
    for (let history = 0; history < histories; history++) {
      const chain = chains[history];
      const longest = deepest[history];
      const depthAt = depthsAt + (history * steps + longest) * steps;
      shares[history] = shareAt + history * steps + longest;
      for (let i = 0; i < candidates; i++) {
        const at = i * histories + history;
        const depth = step[at];
        const level = chain[depth];
        const trained = seen[at] >> ownBits;
        const own = seen[at] & ownMask;
        const behind = longest - depth;
        depths[at] = depthAt + depth;
        counts[at] =
          countsAt +
          ((((history * 3 + (behind < 2 ? behind : 2)) * 4 + runsBucket(trained)) * 3 +
            (own < 2 ? own : 2)) *
            3 +
            fewBucket(kinds[level])) *
            2 +
          (last[level] === i ? 1 : 0);
        logShares[at] = logOfShare(trained + own, sum[level]);
      }
      const level = chain[longest];
      novel[2 + history] =
        newDepthAt +
        ((history * steps + longest) * 3 + fewBucket(kinds[level])) * 8 +
        logBucket(most[level]);
    }
    novel[0] = newPlaceAt + kindsBucket(kinds[0]) * 8 + logBucket(most[0]);
    novel[1] = newFormAt + form;
  }

  #grow(room: number): void {
    this.depths = enlarged(this.depths, room);
    this.counts = enlarged(this.counts, room);
    this.logShares = enlarged(this.logShares, room);
  }
}

function logOfShare(part: number, whole: number): number {
  if (whole > mostInTable) return Math.log(part / whole);
  const at = (whole << 8) | part;
  const known = logarithms[at];
  if (known <= 0) return known;
  logarithms[at] = Math.log(part / whole);
  return logarithms[at];
}

function runsBucket(runs: number): number {
  return runs <= 1 ? runs : runs < 4 ? 2 : 3;
}

function fewBucket(kinds: number): number {
  return kinds < 2 ? 0 : kinds === 2 ? 1 : 2;
}

function kindsBucket(kinds: number): number {
  return kinds <= 2 ? kinds : kinds <= 4 ? 3 : kinds <= 8 ? 4 : 5;
}

/** 0, 1, 2-3, 4-7, ... up to 7. */
function logBucket(count: number): number {
  return Math.min(7, 32 - Math.clz32(count));
}
