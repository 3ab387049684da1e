import { classifyNominal } from './classify-nominal.ts';
import type { TraceFeatures } from './features/features.ts';

/** A nominal run, and how unlike the others it is. */
export interface UnlikeRun {
  /** Position in the list of runs. */
  readonly index: number;
  /** Its own score, judged by the other runs. */
  readonly score: number;
  readonly pValue: number;
  /** The distance from the others is more than chance gives. */
  readonly standsOut: boolean;
}

/** Chance that some run of a harmless list stands out. */
const falseNamings = 0.05;
/** Spacings that say how far apart the largest scores of harmless runs lie. */
const spacings = 10;
/** At most every tenth run can stand out: what more of them do is usual. */
const mostShare = 0.1;

/**
 * Orders nominal runs that were judged without their own counts, most unlike first, and says which of them stand
 * out: an attack among them would teach that attacks are normal.
 *
 * The largest of many scores fall off like an exponential. Then the distances between neighbours, the k-th times
 * k, are drawn alike (Rényi's representation), and one of them over the mean of those below it exceeds c with probability
 * `(1 + c / m) ** -m` for m spacings, whatever the unit of scores. The k largest stand out where their distance from the next
 * one is too improbable for that; so two that are alike do not hide each other.
 *
 * @param traces  of left-out runs, one model's
 * @see Rényi, "On the theory of order statistics", Acta Mathematica Hungarica 4 (1953)
 */
export function rankUnlike(traces: readonly TraceFeatures[], seed = 1): readonly UnlikeRun[] {
  if (traces.length < 2) return [];
  // Any rate would do: scores do not depend on it.
  const { verdicts } = classifyNominal(traces, { fpr: 0.5, features: 'all', seed });
  const order = verdicts
    .map(({ score, pValue }, index) => ({ index, score, pValue }))
    .sort((a, b) => b.score - a.score || a.index - b.index);
  const scores = order.map(({ score }) => score);
  const named = standingOut(scores);
  return order.map((run, rank) => ({ ...run, standsOut: rank < named }));
}

/**
 * @param scores  descending
 * @returns how many of the largest stand out
 */
export function standingOut(scores: readonly number[]): number {
  const most = Math.floor(mostShare * scores.length);
  let named = 0;
  // Without those that stand out, the others are a list of their own.
  while (named < most) {
    const more = mostDistant(scores.slice(named), most - named);
    if (more === 0) break;
    named += more;
  }
  return named;
}

/** @returns how many of the largest, `most` at most, are farthest from the rest by what chance gives; 0 where it gives that */
function mostDistant(scores: readonly number[], most: number): number {
  let number = 0;
  let least = falseNamings / most;
  for (let k = 1; k <= most; k++) {
    const below = Math.min(spacings, scores.length - k - 1);
    if (below < 2) break;
    let sum = 0;
    for (let i = k + 1; i <= k + below; i++) sum += spacingOf(scores, i);
    const distance = spacingOf(scores, k);
    // Where all below are equal, any distance is infinitely far.
    const chance = distance === 0 ? 1 : sum === 0 ? 0 : (1 + distance / sum) ** -below;
    if (chance > least) continue;
    least = chance;
    number = k;
  }
  return number;
}

/** The distance of the k-th largest from the next one, times k. */
function spacingOf(scores: readonly number[], k: number): number {
  return k * (scores[k - 1] - scores[k]);
}
