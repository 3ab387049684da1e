import { cosine, type SparseVector } from './sparse-vector.ts';

/** Vectors in a list that is worth avoiding. */
const longList = 4096;
/** Sums of single-precision weights differ by less than this from the order of adding. */
const rounding = 1e-6;

export interface Neighbour {
  /** Number of the vector in the order in which the index got them. */
  readonly item: number;
  /** 1 - cosine, 0 to 1. */
  readonly distance: number;
}

/**
 * Exact nearest neighbours by cosine distance: for each term a list of the vectors that have it.
 *
 * A query first adds up what its rare terms bring; once what is left cannot lift a vector above
 * the k-th best one so far, only the few that are still in question are compared as a whole. The
 * result is that of comparing with every vector.
 *
 * @see Turtle and Flood, "Query evaluation: strategies and optimizations", 1995 (max score)
 */
export class NeighbourIndex {
  readonly size: number;
  readonly #vectors: readonly SparseVector[];
  /** Term id to list. */
  readonly #lists: Map<number, number> = new Map();
  /** First entry of each list. */
  readonly #starts: Int32Array;
  readonly #items: Int32Array;
  readonly #weights: Float32Array;
  /** Largest weight of each list. */
  readonly #largest: Float32Array;
  readonly #sums: Float64Array;

  constructor(vectors: readonly SparseVector[]) {
    this.size = vectors.length;
    this.#vectors = vectors;
    this.#sums = new Float64Array(vectors.length);
    const lengths: number[] = [];
    let entries = 0;
    for (const { ids } of vectors) {
      entries += ids.length;
      for (const id of ids) {
        let list = this.#lists.get(id);
        if (list === undefined) {
          list = lengths.push(0) - 1;
          this.#lists.set(id, list);
        }
        lengths[list]++;
      }
    }
    this.#starts = new Int32Array(lengths.length + 1);
    for (let i = 0; i < lengths.length; i++) this.#starts[i + 1] = this.#starts[i] + lengths[i];
    this.#items = new Int32Array(entries);
    this.#weights = new Float32Array(entries);
    this.#largest = new Float32Array(lengths.length);
    const next = this.#starts.slice();
    for (let item = 0; item < vectors.length; item++) {
      const { ids, weights } = vectors[item];
      for (let i = 0; i < ids.length; i++) {
        const list = this.#lists.get(ids[i]) ?? 0;
        const at = next[list]++;
        this.#items[at] = item;
        this.#weights[at] = weights[i];
        if (weights[i] > this.#largest[list]) this.#largest[list] = weights[i];
      }
    }
  }

  /**
   * @param isWanted  leaves vectors out, such as those of the query's own trace
   * @returns the k nearest, nearest first; of equals, the first come. Vectors that share no term
   *   with the query are at distance 1 and are left out
   */
  nearest(query: SparseVector, k: number, isWanted?: (item: number) => boolean): Neighbour[] {
    const terms = this.#termsOf(query);
    // What the terms from each on can add at most.
    const left = new Float64Array(terms.length + 1);
    for (let i = terms.length - 1; i >= 0; i--) left[i] = left[i + 1] + terms[i].most;
    const sums = this.#sums;
    const touched: number[] = [];
    let done = 0;
    for (; done < terms.length; done++) {
      const { list, weight } = terms[done];
      const end = this.#starts[list + 1];
      // Looking for the bound costs about as much as a long list, which it may save.
      const isLong = end - this.#starts[list] > longList;
      if (isLong && left[done] + rounding < this.#kthBest(touched, k, isWanted)) break;
      for (let at = this.#starts[list]; at < end; at++) {
        const item = this.#items[at];
        if (sums[item] === 0) touched.push(item);
        sums[item] += weight * this.#weights[at];
      }
    }
    const best = new Best(k);
    const isWhole = done === terms.length;
    const open = left[done];
    for (const item of touched) {
      const sum = sums[item];
      sums[item] = 0;
      if (sum + open + rounding < best.least || isWanted?.(item) === false) continue;
      best.add(item, isWhole ? sum : cosine(query, this.#vectors[item]));
    }
    return best.sorted();
  }

  /** The query's terms that occur here, rare ones first. */
  #termsOf(query: SparseVector): { list: number; weight: number; most: number }[] {
    const terms: { list: number; weight: number; most: number; length: number }[] = [];
    for (let i = 0; i < query.ids.length; i++) {
      const list = this.#lists.get(query.ids[i]);
      const weight = query.weights[i];
      if (list === undefined || weight === 0) continue;
      const length = this.#starts[list + 1] - this.#starts[list];
      terms.push({ list, weight, most: weight * this.#largest[list], length });
    }
    return terms.sort((a, b) => a.length - b.length);
  }

  /** The k-th largest sum so far, which is no more than the k-th best cosine. */
  #kthBest(touched: readonly number[], k: number, isWanted?: (item: number) => boolean): number {
    const best = new Best(k);
    for (const item of touched) {
      if (this.#sums[item] > best.least && isWanted?.(item) !== false) {
        best.add(item, this.#sums[item]);
      }
    }
    return best.least;
  }
}

/** Keeps the k largest. */
class Best {
  readonly #k: number;
  readonly #found: { item: number; value: number }[] = [];
  /** The k-th largest value; below 0 while there are fewer. */
  least = -1;

  constructor(k: number) {
    this.#k = k;
  }

  add(item: number, value: number): void {
    const found = this.#found;
    const isBefore = (other: { item: number; value: number }): boolean =>
      other.value > value || (other.value === value && other.item < item);
    let at = found.length;
    while (at > 0 && !isBefore(found[at - 1])) at--;
    if (at === this.#k) return;
    found.splice(at, 0, { item, value });
    if (found.length > this.#k) found.pop();
    if (found.length === this.#k) this.least = found[this.#k - 1].value;
  }

  sorted(): Neighbour[] {
    return this.#found.map(({ item, value }) => ({ item, distance: Math.max(0, 1 - value) }));
  }
}
