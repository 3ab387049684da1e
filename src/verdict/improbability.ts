import { surpriseName } from './features/feature-table.ts';
import { feature, type TraceFeatures } from './features/features.ts';
import { surpriseLengths } from './features/worst-window.ts';
import { lowerBound } from './statistics/ranking.ts';
import type { Reason, Suspicion } from './suspicion.ts';

/** Numbers in ascending order. */
interface Ascending {
  readonly length: number;
  at(index: number): number;
  /** @returns how many are less than `value` */
  below(value: number): number;
}

/** Largest sums of surprise of nominal runs, for each length of `surpriseLengths`. */
export type SurpriseReference = readonly Ascending[];

export function referenceOf(traces: readonly TraceFeatures[]): SurpriseReference {
  return surpriseLengths.map(
    (length) => new Sorted(traces.map((trace) => feature(trace, surpriseName(length)))),
  );
}

class Sorted implements Ascending {
  readonly #values: Float64Array;

  constructor(values: readonly number[]) {
    this.#values = Float64Array.from(values).sort();
  }

  get length(): number {
    return this.#values.length;
  }

  at(index: number): number {
    return this.#values[index];
  }

  below(value: number): number {
    return lowerBound(this.#values, value);
  }
}

/**
 * @returns the reference with one trace taken out and another put in; not made, but looked up in the whole one:
 *   each trace that is judged is put in the place of each of the others
 */
export function exchanged(
  reference: SurpriseReference,
  out: TraceFeatures,
  put: TraceFeatures,
): SurpriseReference {
  return reference.map((sorted, i) => {
    const name = surpriseName(surpriseLengths[i]);
    return new Exchanged(sorted, feature(out, name), feature(put, name));
  });
}

class Exchanged implements Ascending {
  readonly #whole: Ascending;
  readonly #out: number;
  readonly #put: number;
  /** Where the one that is out stood, and where the one that is in its place stands. */
  readonly #outAt: number;
  readonly #putAt: number;

  constructor(whole: Ascending, out: number, put: number) {
    this.#whole = whole;
    this.#out = out;
    this.#put = put;
    this.#outAt = whole.below(out);
    this.#putAt = whole.below(put) - (out < put ? 1 : 0);
  }

  get length(): number {
    return this.#whole.length;
  }

  at(index: number): number {
    if (index === this.#putAt) return this.#put;
    const left = index - (index > this.#putAt ? 1 : 0);
    return this.#whole.at(left + (left >= this.#outAt ? 1 : 0));
  }

  below(value: number): number {
    const less = this.#whole.below(value);
    return less - (this.#out < value ? 1 : 0) + (this.#put < value ? 1 : 0);
  }
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

/** @returns the score of `improbability` alone */
export function improbabilityScore(trace: TraceFeatures, reference: SurpriseReference): number {
  const nats = surpriseLengths.map((length, i) =>
    natsOf(feature(trace, surpriseName(length)), reference[i]),
  );
  return Math.max(...nats);
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
 * @param sorted  values of nominal runs
 */
export function natsOf(value: number, sorted: Ascending): number {
  const n = sorted.length;
  if (n === 0 || value === 0) return value;
  const natsAt = (index: number): number =>
    index < 0 ? 0 : Math.log((n + 1) / (n - sorted.below(sorted.at(index))));
  const above = sorted.below(value);
  if (above === n) return natsAt(n - 1) + value - sorted.at(n - 1);
  const lower = above === 0 ? 0 : sorted.at(above - 1);
  const part = (value - lower) / (sorted.at(above) - lower);
  return natsAt(above - 1) + part * (natsAt(above) - natsAt(above - 1));
}
