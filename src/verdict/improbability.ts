import { surpriseName } from './features/feature-table.ts';
import { feature, type TraceFeatures } from './features/features.ts';
import { surpriseLengths } from './features/worst-window.ts';
import { lowerBound } from './statistics/ranking.ts';
import type { Reason, Suspicion } from './suspicion.ts';

/** Largest sums of surprise of nominal runs, ascending, for each length of `surpriseLengths`. */
export type SurpriseReference = readonly Float64Array[];

export function referenceOf(traces: readonly TraceFeatures[]): SurpriseReference {
  return surpriseLengths.map((length) =>
    Float64Array.from(traces, (trace) => feature(trace, surpriseName(length))).sort(),
  );
}

/** @returns the reference with one trace taken out and another put in */
export function exchanged(
  reference: SurpriseReference,
  out: TraceFeatures,
  put: TraceFeatures,
): SurpriseReference {
  return reference.map((sorted, i) => {
    const name = surpriseName(surpriseLengths[i]);
    const gone = feature(out, name);
    const come = feature(put, name);
    const result = new Float64Array(sorted.length);
    let at = 0;
    let isGone = false;
    let isPut = false;
    for (const value of sorted) {
      if (!isGone && value === gone) {
        isGone = true;
        continue;
      }
      if (!isPut && come <= value) {
        result[at++] = come;
        isPut = true;
      }
      result[at++] = value;
    }
    if (!isPut) result[at] = come;
    return result;
  });
}

/**
 * How improbable the most surprising place of a run is, against that of nominal runs: minus the logarithm
 * of the share of them that has one as improbable, for single transfers and for crowds; the largest counts.
 * Beyond all of them a nat of surprise is a nat: that is what a probability means.
 */
export function improbability(trace: TraceFeatures, reference: SurpriseReference): Suspicion {
  const reasons = surpriseLengths.map((length, i): Reason => {
    const value = feature(trace, surpriseName(length));
    return { feature: surpriseName(length), value, points: natsOf(value, reference[i]) };
  });
  reasons.sort((a, b) => b.points - a.points);
  return { score: reasons[0].points, reasons };
}

/**
 * How probable the model itself holds the most surprising place of a run, of all that come once. Whatever other runs
 * did, a run is no alarm at a rate below this: where nominal runs hardly surprise, the rank alone would make one
 * of anything.
 */
export function claimedChance(trace: TraceFeatures): number {
  return Math.exp(
    -Math.max(...surpriseLengths.map((length) => feature(trace, surpriseName(length)))),
  );
}

/** @returns the score of a run whose most surprising transfer has this chance */
export function scoreOfChance(chance: number, reference: SurpriseReference): number {
  return natsOf(-Math.log(chance), reference[surpriseLengths.indexOf(1)]);
}

/**
 * Minus the logarithm of the share of runs, the judged one among them, that have as large a value: between
 * values of nominal runs as far as the way, beyond the largest a nat for a nat. No surprise at all is no nat.
 *
 * @param value  not negative
 * @param sorted  values of nominal runs, ascending
 */
export function natsOf(value: number, sorted: Float64Array): number {
  const n = sorted.length;
  if (n === 0 || value === 0) return value;
  const natsAt = (index: number): number =>
    index < 0 ? 0 : Math.log((n + 1) / (n - lowerBound(sorted, sorted[index])));
  const above = lowerBound(sorted, value);
  if (above === n) return natsAt(n - 1) + value - sorted[n - 1];
  const lower = above === 0 ? 0 : sorted[above - 1];
  const part = (value - lower) / (sorted[above] - lower);
  return natsAt(above - 1) + part * (natsAt(above) - natsAt(above - 1));
}
