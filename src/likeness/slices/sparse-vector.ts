import type { TermCounts, TermPart } from './slice-terms.ts';
import type { Weighting } from './vector-kinds.ts';

/** A vector of length 1, or without any component. */
export interface SparseVector {
  /** Term ids, ascending. */
  readonly ids: Int32Array;
  readonly weights: Float32Array;
}

/** What vectors are made from. */
export type Terms = Readonly<Partial<Record<TermPart, TermCounts>>>;

/** Cosine of the angle between two vectors, 0 to 1. */
export function cosine(a: SparseVector, b: SparseVector): number {
  let sum = 0;
  let i = 0;
  let j = 0;
  while (i < a.ids.length && j < b.ids.length) {
    const difference = a.ids[i] - b.ids[j];
    if (difference === 0) sum += a.weights[i++] * b.weights[j++];
    else if (difference < 0) i++;
    else j++;
  }
  return sum;
}

/**
 * Turns term counts into vectors. Inverse document frequencies come from the slices that it was
 * made from, so that a query is weighted as the collection is.
 */
export class Vectorizer {
  readonly #parts: readonly (readonly [TermPart, Weighting])[];
  /** Slices that hold a term. */
  readonly #holders: Map<number, number> = new Map();
  readonly #slices: number;

  constructor(parts: readonly (readonly [TermPart, Weighting])[], slices: readonly Terms[]) {
    this.#parts = parts;
    this.#slices = slices.length;
    for (const [part, weighting] of parts) {
      if (weighting !== 'tfidf') continue;
      for (const terms of slices) {
        for (const id of terms[part]?.ids ?? []) {
          this.#holders.set(id, (this.#holders.get(id) ?? 0) + 1);
        }
      }
    }
  }

  vector(terms: Terms): SparseVector {
    const pairs: [id: number, weight: number][] = [];
    let filled = 0;
    for (const [part, weighting] of this.#parts) {
      const { ids, counts } = terms[part] ?? nothing;
      if (ids.length === 0) continue;
      filled++;
      const weights = Float64Array.from(ids, (id, i) => this.#weight(weighting, id, counts[i]));
      const length = Math.sqrt(weights.reduce((sum, weight) => sum + weight * weight, 0));
      for (let i = 0; i < ids.length; i++) pairs.push([ids[i], weights[i] / length]);
    }
    pairs.sort((a, b) => a[0] - b[0]);
    return {
      ids: Int32Array.from(pairs, ([id]) => id),
      weights: Float32Array.from(pairs, ([, weight]) => weight / Math.sqrt(filled)),
    };
  }

  #weight(weighting: Weighting, id: number, count: number): number {
    if (weighting === 'presence') return 1;
    if (weighting === 'counts') return count;
    const holders = this.#holders.get(id) ?? 0;
    return (1 + Math.log(count)) * (1 + Math.log((1 + this.#slices) / (1 + holders)));
  }
}

const nothing: TermCounts = { ids: new Int32Array(0), counts: new Int32Array(0) };
