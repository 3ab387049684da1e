import { assert } from '../../base/errors.ts';
import { betaQuantile } from './special.ts';

/** A range that holds the true value with the given confidence. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** A share: `count` of `total`, with its exact interval. */
export interface Proportion {
  readonly count: number;
  readonly total: number;
  /** `count / total`; NaN when the total is 0. */
  readonly rate: number;
  /** Clopper-Pearson, 95 %, two-sided. */
  readonly interval: Interval;
}

export function proportion(count: number, total: number): Proportion {
  return { count, total, rate: count / total, interval: clopperPearson(count, total, 0.95) };
}

/**
 * Exact two-sided interval for a binomial proportion.
 *
 * @param level  confidence, such as 0.95
 * @see Clopper and Pearson, "The use of confidence or fiducial limits", Biometrika 26, 1934
 */
export function clopperPearson(count: number, total: number, level: number): Interval {
  checkCounts(count, total, level);
  if (total === 0) return { low: 0, high: 1 };
  const tail = (1 - level) / 2;
  return {
    low: count === 0 ? 0 : betaQuantile(tail, count, total - count + 1),
    high: count === total ? 1 : betaQuantile(1 - tail, count + 1, total - count),
  };
}

/** Exact one-sided upper bound: the true rate is at most this, with confidence `level`. */
export function clopperPearsonUpper(count: number, total: number, level: number): number {
  checkCounts(count, total, level);
  return count === total ? 1 : betaQuantile(level, count + 1, total - count);
}

function checkCounts(count: number, total: number, level: number): void {
  assert(
    Number.isInteger(count) && Number.isInteger(total) && count >= 0 && count <= total,
    `${count} of ${total} is no proportion`,
  );
  assert(level > 0 && level < 1, `confidence ${level} is outside (0, 1)`);
}
