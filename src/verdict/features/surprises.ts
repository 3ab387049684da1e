import type { Evaluation } from '../../evaluation/evaluation.ts';
import { crowdLengths } from './worst-window.ts';

/** Transfers that surprised the first layer or that training never saw, in trace order. */
export interface Surprises {
  readonly length: number;
  /** Number of the transfer among the predicted ones. */
  readonly index: Int32Array;
  /** Block index of the block that made it. */
  readonly place: Int32Array;
  /** 0 to 1; NaN when the evaluation does not hold probabilities. */
  readonly surprise: Float64Array;
  /** 1 when training never saw the transfer. */
  readonly unseen: Float64Array;
  /** For entries into unknown code out of the blue: nats; 0 for all others. */
  readonly sudden: Float64Array;
}

/** A transfer that surprises this much is a whole surprise; what surprises less than faintly is none. */
const fullNats = 5;
const faintNats = 0.05;
/** Blocks of known code before an entry into unknown code that make it sudden. */
const suddenBlocks = 1024;
/** Single precision holds probabilities down to here. */
const smallestProbability = 1e-30;

/**
 * Picks out the transfers that matter; they are few.
 *
 * *Sudden* entries: code that training never ran is mostly entered by direct calls and jumps, and
 * the returns and calls around it lie close to other unknown code. A hijack leads from code that
 * was known, and known to go elsewhere, straight into the unknown.
 */
export function findSurprises(evaluation: Evaluation): Surprises {
  const { predictions, occurrences, positions, unknownRuns } = evaluation;
  const { actualProbability, unseenTransfer } = predictions;
  const surpriseOf = new Float64Array(predictions.length);
  const isWanted = new Uint8Array(predictions.length);
  for (let p = 0; p < predictions.length; p++) {
    const nats = -Math.log(Math.max(smallestProbability, actualProbability[p]));
    surpriseOf[p] = nats < faintNats ? 0 : Math.min(nats / fullNats, 1);
    // NaN counts as wanted where the prediction was wrong, which is where it stands.
    isWanted[p] = surpriseOf[p] !== 0 || unseenTransfer[p] === 1 ? 1 : 0;
  }
  let length = 0;
  for (let i = 0; i < occurrences.length; i++) length += isWanted[occurrences[i]];
  const result = {
    length,
    index: new Int32Array(length),
    place: new Int32Array(length),
    surprise: new Float64Array(length),
    unseen: new Float64Array(length),
    sudden: new Float64Array(length),
  };
  let at = 0;
  let run = 0;
  let lastUnknown = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < occurrences.length; i++) {
    const p = occurrences[i];
    if (isWanted[p] === 0) continue;
    const place = positions[i];
    result.index[at] = i;
    result.place[at] = place;
    result.surprise[at] = surpriseOf[p];
    result.unseen[at] = unseenTransfer[p];
    while (run < unknownRuns.length && unknownRuns[run] + unknownRuns[run + 1] <= place) {
      lastUnknown = unknownRuns[run] + unknownRuns[run + 1] - 1;
      run += 2;
    }
    const isEntry = run < unknownRuns.length && unknownRuns[run] === place + 1;
    if (isEntry && unseenTransfer[p] === 1 && place - lastUnknown > suddenBlocks) {
      const nats = -Math.log(Math.max(smallestProbability, actualProbability[p]));
      result.sudden[at] = Number.isNaN(nats) ? 0 : nats;
    }
    at++;
  }
  return result;
}

/** Points that a sudden entry gives for each nat. */
export const suddenPoints = 0.2;

/**
 * Points of the first layer at each surprise, for the stretch of blocks that ends there: crowded
 * surprises and unseen transfers alike, at three scales (12 points when there is nothing else),
 * and what a sudden entry gives.
 */
export function pointsAtSurprises(surprises: Surprises): Float64Array {
  const { length, place, surprise, unseen, sudden } = surprises;
  const points = new Float64Array(length);
  for (const blocks of crowdLengths) {
    let sum = 0;
    let first = 0;
    for (let i = 0; i < length; i++) {
      while (place[first] <= place[i] - blocks) {
        sum -= (surprise[first] || 0) + unseen[first];
        first++;
      }
      const own = (surprise[i] || 0) + unseen[i];
      // No rounding is carried from one stretch to another.
      sum = first === i ? own : sum + own;
      points[i] += (2 / blocks) * sum;
    }
  }
  for (let i = 0; i < length; i++) points[i] += suddenPoints * sudden[i];
  return points;
}
