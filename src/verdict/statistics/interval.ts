import { assert } from '../../base/errors.ts';
import { betaQuantile, normalQuantile } from './special.ts';

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

/**
 * Wilson's score interval: shorter than the exact one, right on average.
 *
 * @see Wilson, "Probable inference", JASA 22, 1927
 */
export function wilson(count: number, total: number, level: number): Interval {
  checkCounts(count, total, level);
  if (total === 0) return { low: 0, high: 1 };
  const z = normalQuantile(1 - (1 - level) / 2);
  const p = count / total;
  const centre = p + (z * z) / (2 * total);
  const half = z * Math.sqrt((p * (1 - p)) / total + (z * z) / (4 * total * total));
  const scale = 1 + (z * z) / total;
  return {
    low: count === 0 ? 0 : (centre - half) / scale,
    high: count === total ? 1 : (centre + half) / scale,
  };
}

function checkCounts(count: number, total: number, level: number): void {
  assert(
    Number.isInteger(count) && Number.isInteger(total) && count >= 0 && count <= total,
    `${count} of ${total} is no proportion`,
  );
  assert(level > 0 && level < 1, `confidence ${level} is outside (0, 1)`);
}
