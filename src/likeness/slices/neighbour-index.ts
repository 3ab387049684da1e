import type { SparseVector } from './sparse-vector.ts';

export interface Neighbour {
  /** Number of the vector in the order in which the index got them. */
  readonly item: number;
  /** 1 - cosine, 0 to 1. */
  readonly distance: number;
}

/** A term that so large a share of the vectors has is common. */
const commonShare = 1 / 8;

/**
 * Exact nearest neighbours by cosine distance.
 *
 * For each rare term there is a list of the vectors that have it, and a query adds up what its
 * terms bring. A few terms are in most vectors (returns, say), and their lists would be most of the
 * work. Vectors whose common terms are all the same, weights included, form a group, and a query is
 * compared with the common terms of each group once. The result is that of comparing with every
 * vector: 100,000 are searched in a few milliseconds.
 */
export class NeighbourIndex {
  readonly size: number;
  readonly #lists: PostingLists;
  readonly #groups: CommonGroups;
  readonly #sums: Float64Array;
  /** Vectors that the current query has met in lists. */
  readonly #met: Int32Array;

  constructor(vectors: readonly SparseVector[]) {
    this.size = vectors.length;
    this.#sums = new Float64Array(vectors.length);
    this.#met = new Int32Array(vectors.length);
    const holders = countHolders(vectors);
    const least = Math.max(2, vectors.length * commonShare);
    const common = new Set([...holders].flatMap(([id, count]) => (count >= least ? [id] : [])));
    this.#lists = new PostingLists(vectors, common);
    this.#groups = new CommonGroups(vectors, common);
  }

  /**
   * @param isWanted  leaves vectors out, such as those of the query's own trace
   * @returns the k nearest, nearest first; of equals, the first come. Vectors that share no term
   *   with the query are at distance 1 and are left out
   */
  nearest(query: SparseVector, k: number, isWanted?: (item: number) => boolean): Neighbour[] {
    const sums = this.#sums;
    const met = this.#met;
    const { groupOf } = this.#groups;
    const scores = this.#groups.scores(query);
    let count = 0;
    for (let i = 0; i < query.ids.length; i++) {
      const weight = query.weights[i];
      const { items, weights, start, end } = this.#lists.find(query.ids[i]);
      for (let at = start; at < end; at++) {
        const item = items[at];
        if (sums[item] === 0) met[count++] = item;
        sums[item] += weight * weights[at];
      }
    }
    const best = new Best(k);
    for (let i = 0; i < count; i++) {
      const item = met[i];
      const score = sums[item] + scores[groupOf[item]];
      if (score >= best.least && isWanted?.(item) !== false) best.add(item, score);
    }
    // Of those met nowhere, the first of each group are as near as any.
    for (let group = 0; group < scores.length; group++) {
      const score = scores[group];
      if (score === 0 || score < best.least) continue;
      let left = k;
      for (const item of this.#groups.members[group]) {
        if (left === 0) break;
        if (sums[item] !== 0 || isWanted?.(item) === false) continue;
        best.add(item, score);
        left--;
      }
    }
    for (let i = 0; i < count; i++) sums[met[i]] = 0;
    return best.sorted();
  }
}

/** Where a list lies: entries `start` to `end` - 1 of two arrays. */
interface PostingList {
  readonly items: Int32Array;
  readonly weights: Float32Array;
  readonly start: number;
  readonly end: number;
}

/** @returns how many vectors have each term */
function countHolders(vectors: readonly SparseVector[]): ReadonlyMap<number, number> {
  const holders = new Map<number, number>();
  for (const { ids } of vectors) {
    for (const id of ids) holders.set(id, (holders.get(id) ?? 0) + 1);
  }
  return holders;
}

/** For each term the vectors that have it, one list after the other. */
class PostingLists {
  readonly #lists: Map<number, PostingList> = new Map();
  readonly #none: PostingList;

  /** @param leftOut  terms without a list */
  constructor(vectors: readonly SparseVector[], leftOut: ReadonlySet<number>) {
    const holders = countHolders(vectors);
    const next = new Map<number, number>();
    let entries = 0;
    for (const [id, count] of holders) {
      if (leftOut.has(id)) continue;
      next.set(id, entries);
      entries += count;
    }
    const items = new Int32Array(entries);
    const weights = new Float32Array(entries);
    vectors.forEach((vector, item) => {
      vector.ids.forEach((id, i) => {
        const at = next.get(id);
        if (at === undefined) return;
        items[at] = item;
        weights[at] = vector.weights[i];
        next.set(id, at + 1);
      });
    });
    for (const [id, end] of next) {
      const start = end - (holders.get(id) ?? 0);
      this.#lists.set(id, { items, weights, start, end });
    }
    this.#none = { items, weights, start: 0, end: 0 };
  }

  find(id: number): PostingList {
    return this.#lists.get(id) ?? this.#none;
  }
}

/** Vectors by their common terms. */
class CommonGroups {
  readonly groupOf: Int32Array;
  /** Ascending. */
  readonly members: number[][] = [];
  readonly #lists: PostingLists;

  constructor(vectors: readonly SparseVector[], common: ReadonlySet<number>) {
    const parts: SparseVector[] = [];
    const groups = new Map<string, number>();
    this.groupOf = Int32Array.from(vectors, (vector, item) => {
      const part = partOf(vector, common);
      const key = `${part.ids} ${part.weights}`;
      let group = groups.get(key);
      if (group === undefined) {
        group = parts.push(part) - 1;
        groups.set(key, group);
        this.members.push([]);
      }
      this.members[group].push(item);
      return group;
    });
    this.#lists = new PostingLists(parts, new Set());
  }

  /** What the common terms of a query bring to each group. */
  scores(query: SparseVector): Float64Array {
    const scores = new Float64Array(this.members.length);
    for (let i = 0; i < query.ids.length; i++) {
      const { items, weights, start, end } = this.#lists.find(query.ids[i]);
      for (let at = start; at < end; at++) scores[items[at]] += query.weights[i] * weights[at];
    }
    return scores;
  }
}

/** The components of a vector that belong to some terms. */
function partOf({ ids, weights }: SparseVector, terms: ReadonlySet<number>): SparseVector {
  return {
    ids: ids.filter((id) => terms.has(id)),
    weights: weights.filter((_, i) => terms.has(ids[i])),
  };
}

/** Keeps the k largest; of equals, those with the lowest numbers. */
class Best {
  readonly #k: number;
  readonly #found: { readonly item: number; readonly value: number }[] = [];
  /** The k-th largest value; below 0 while there are fewer. */
  least = -1;

  constructor(k: number) {
    this.#k = k;
  }

  add(item: number, value: number): void {
    const found = this.#found;
    let at = found.length;
    while (
      at > 0 &&
      (found[at - 1].value < value || (found[at - 1].value === value && found[at - 1].item > item))
    ) {
      at--;
    }
    if (at === this.#k) return;
    found.splice(at, 0, { item, value });
    if (found.length > this.#k) found.pop();
    if (found.length === this.#k) this.least = found[this.#k - 1].value;
  }

  sorted(): Neighbour[] {
    return this.#found.map(({ item, value }) => ({ item, distance: Math.max(0, 1 - value) }));
  }
}
