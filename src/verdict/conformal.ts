import { assert, UserError } from '../base/errors.ts';
import { clopperPearsonUpper } from './statistics/interval.ts';
import { lowerBound } from './statistics/ranking.ts';

/**
 * The smallest number of calibration traces with which a trace can be flagged at this rate: a
 * conformal p-value is never below 1 / (n + 1).
 */
export function tracesNeeded(fpr: number): number {
  assert(fpr > 0 && fpr < 1, `false-positive rate ${fpr} is outside (0, 1)`);
  // The division may round either way (1 / 0.01 is exact, 1 / 0.07 is not).
  let n = Math.max(1, Math.ceil(1 / fpr) - 2);
  while (1 / (n + 1) > fpr) n++;
  return n;
}

/** @throws UserError `fpr-invalid`, or `calibration-too-small` with the number of traces it would take */
export function checkCalibrationSize(traces: number, fpr: number): void {
  if (!(fpr > 0 && fpr < 1)) {
    throw new UserError('fpr-invalid', `a false-positive rate of ${fpr} is not between 0 and 1`, {
      category: 'arguments',
    });
  }
  const needed = tracesNeeded(fpr);
  if (traces >= needed) return;
  const possible = traces === 0 ? '' : `, ${traces} allow ${(1 / (traces + 1)).toPrecision(2)}`;
  throw new UserError(
    'calibration-too-small',
    `a false-positive rate of ${fpr} takes ${needed} nominal calibration traces; there are ${traces}${possible}`,
    { category: 'arguments' },
  );
}

/**
 * Split conformal p-value of one score: if the trace is exchangeable with the calibration traces,
 * the p-value is at most `alpha` with probability at most `alpha`, for every alpha, whatever the
 * distribution of the scores. Ties count against the calibration, so it stays valid for discrete
 * scores.
 *
 * @param sortedCalibration  ascending
 * @see Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005, chapter 2
 */
export function conformalPValue(sortedCalibration: ArrayLike<number>, score: number): number {
  const n = sortedCalibration.length;
  return (1 + n - lowerBound(sortedCalibration, score)) / (n + 1);
}

/** How sure a threshold set by n calibration traces is. */
export interface CalibrationBound {
  readonly traces: number;
  /** Rate that the user accepts. */
  readonly fpr: number;
  /** Expected rate of this threshold over calibration sets: k / (n + 1), at most `fpr`. */
  readonly expected: number;
  /** With 95 % confidence over the draw of the calibration set, the rate is at most this (exact). */
  readonly upper: number;
}

/**
 * A trace is flagged when fewer than k calibration scores reach its own, k = floor(fpr (n + 1)).
 * The true rate of that rule is distributed as Beta(k, n + 1 - k) over calibration sets, whose
 * quantiles are Clopper and Pearson's.
 */
export function calibrationBound(traces: number, fpr: number): CalibrationBound {
  checkCalibrationSize(traces, fpr);
  const k = flaggedRank(traces, fpr);
  return {
    traces,
    fpr,
    expected: k / (traces + 1),
    upper: clopperPearsonUpper(k - 1, traces, 0.95),
  };
}

/** The largest k with k / (n + 1) <= fpr. */
function flaggedRank(traces: number, fpr: number): number {
  let k = Math.floor(fpr * (traces + 1)) + 1;
  while (k > 0 && k / (traces + 1) > fpr) k--;
  return k;
}
