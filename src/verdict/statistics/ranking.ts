import type { Interval } from './interval.ts';
import { normalQuantile } from './special.ts';

/** How well a score ranks anomalous above nominal traces. */
export interface RankingQuality {
  /** Area under the ROC curve; ties count half. NaN when a class is empty. */
  readonly auc: number;
  /** 95 %, DeLong on the logit scale; at an area of 0 or 1, where DeLong's variance is 0, Hanley and McNeil's exact corner bound. */
  readonly interval: Interval;
  readonly nominal: number;
  readonly anomalous: number;
}

/** One operating point: flag every trace whose score is at least `threshold`. */
export interface RocPoint {
  readonly threshold: number;
  readonly falsePositiveRate: number;
  readonly truePositiveRate: number;
}

/**
 * @param nominal  scores of nominal traces, larger = more suspicious
 * @param anomalous  scores of anomalous traces
 * @see DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated ROC
 *   curves", Biometrics 44, 1988
 */
export function rankingQuality(
  nominal: ArrayLike<number>,
  anomalous: ArrayLike<number>,
): RankingQuality {
  const m = anomalous.length;
  const n = nominal.length;
  const counts = { nominal: n, anomalous: m };
  if (m === 0 || n === 0) return { auc: Number.NaN, interval: { low: 0, high: 1 }, ...counts };
  // Placement values: for each anomalous trace the share of nominal ones below it, and vice versa.
  const sortedNominal = Float64Array.from(nominal).sort();
  const sortedAnomalous = Float64Array.from(anomalous).sort();
  const v10 = Float64Array.from(anomalous, (x) => placement(sortedNominal, x));
  const v01 = Float64Array.from(nominal, (x) => 1 - placement(sortedAnomalous, x));
  const auc = mean(v10);
  const variance = sampleVariance(v10, auc) / m + sampleVariance(v01, auc) / n;
  return { auc, interval: aucInterval(auc, variance, m, n), ...counts };
}

/** @returns the share of `sorted` below `x`, ties counted half */
function placement(sorted: Float64Array, x: number): number {
  return (lowerBound(sorted, x) + upperBound(sorted, x)) / 2 / sorted.length;
}

function aucInterval(auc: number, variance: number, m: number, n: number): Interval {
  const z = normalQuantile(0.975);
  if (auc <= 0 || auc >= 1 || variance <= 0) {
    // Nothing was out of order, so the sample says nothing about the spread: the bound that stays
    // is the one of min(m, n) independent pairs without an error (the rule of three, exactly).
    const slack = 1 - 0.025 ** (1 / Math.min(m, n));
    return { low: Math.max(0, auc - slack), high: Math.min(1, auc + slack) };
  }
  const logit = Math.log(auc / (1 - auc));
  const error = Math.sqrt(variance) / (auc * (1 - auc));
  const back = (value: number): number => 1 / (1 + Math.exp(-value));
  return { low: back(logit - z * error), high: back(logit + z * error) };
}

/** @returns the ROC curve from (0, 0) to (1, 1), one point for each distinct score, falling thresholds */
export function rocCurve(nominal: ArrayLike<number>, anomalous: ArrayLike<number>): RocPoint[] {
  const sortedNominal = Float64Array.from(nominal).sort();
  const sortedAnomalous = Float64Array.from(anomalous).sort();
  const thresholds = [...new Set([...sortedNominal, ...sortedAnomalous])].sort((a, b) => b - a);
  const share = (sorted: Float64Array, threshold: number): number =>
    sorted.length === 0 ? 0 : (sorted.length - lowerBound(sorted, threshold)) / sorted.length;
  return [
    { threshold: Number.POSITIVE_INFINITY, falsePositiveRate: 0, truePositiveRate: 0 },
    ...thresholds.map((threshold) => ({
      threshold,
      falsePositiveRate: share(sortedNominal, threshold),
      truePositiveRate: share(sortedAnomalous, threshold),
    })),
  ];
}

/** @returns how many of `sorted` are below `x` */
export function lowerBound(sorted: ArrayLike<number>, x: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @returns how many of `sorted` are at most `x` */
function upperBound(sorted: ArrayLike<number>, x: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}

function mean(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

function sampleVariance(values: Float64Array, centre: number): number {
  if (values.length < 2) return 0;
  let sum = 0;
  for (const value of values) sum += (value - centre) ** 2;
  return sum / (values.length - 1);
}
