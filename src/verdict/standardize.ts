import type { FeatureName } from './features/feature-table.ts';
import { feature, type TraceFeatures } from './features/features.ts';
import type { Reason, Suspicion } from './suspicion.ts';

/**
 * Combines any choice of features, whose units nobody knows beforehand: each is expressed in
 * spreads above the median, and the largest counts.
 *
 * Median and spread are taken over all given traces, the judged one included and not told apart
 * from the others. So the scores stay exchangeable when the traces are, and a conformal p-value
 * from them is as exact as with a fixed score.
 *
 * @param traces  calibration traces and the judged one, in any order
 * @param names  features; those that are NaN in any trace are left out
 * @returns one a trace, in their order
 */
export function standardizedSuspicion(
  traces: readonly TraceFeatures[],
  names: readonly FeatureName[],
): Suspicion[] {
  const best: Reason[] = traces.map(() => ({ feature: names[0], value: 0, points: 0 }));
  for (const name of names) {
    const values = Float64Array.from(traces, (trace) => feature(trace, name));
    const sorted = values.slice().sort();
    // NaN sorts last.
    if (sorted.length === 0 || Number.isNaN(sorted[sorted.length - 1])) continue;
    const median = quantile(sorted, 0.5);
    // The upper spread, because only large values are suspicious; where nine in ten traces have
    // the median itself (counts that are always 0), the smallest step away from it.
    const step = sorted.find((value) => value > median);
    if (step === undefined) continue;
    const spread = Math.max(quantile(sorted, 0.9) - median, 0) || step - median;
    for (let i = 0; i < values.length; i++) {
      const points = (values[i] - median) / spread;
      if (points > best[i].points) best[i] = { feature: name, value: values[i], points };
    }
  }
  return best.map((reason) => ({ score: reason.points, reasons: [reason] }));
}

/** @param sorted  ascending, not empty; @returns the quantile, interpolated between order statistics */
function quantile(sorted: ArrayLike<number>, q: number): number {
  const place = q * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}
