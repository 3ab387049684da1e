import type { DistanceMatrix } from './distances.ts';

/** From here on two items have nothing in common. */
const nothing = 1 - 1e-6;

/**
 * Clusters of items that are linked by being each other's nearest: everything that can be reached from an
 * item by going to nearest neighbours is one cluster. Nothing has to be chosen, and each cluster has a scale
 * of its own, so that dense and sparse ones stand beside each other.
 *
 * An item that has nothing in common with others, or whose nearest is farther away than is usual (beyond
 * Tukey's upper fence of all such distances), links to none.
 *
 * @param groupOf  items of one group are parts of one thing and do not link to each other
 * @returns the cluster of each item, numbered by first appearance; -1 = alone
 * @see Sarfraz et al., "Efficient parameter-free clustering using first neighbor relations", CVPR 2019:
 *   the first of its partitions
 */
export function nearestClusters(
  distances: DistanceMatrix,
  groupOf: (item: number) => unknown = (item) => item,
): Int32Array {
  const n = distances.size;
  const nearest = new Int32Array(n).fill(-1);
  const distance = new Float64Array(n).fill(Number.POSITIVE_INFINITY);
  for (let item = 0; item < n; item++) {
    const group = groupOf(item);
    for (let other = 0; other < n; other++) {
      if (other === item || groupOf(other) === group) continue;
      if (distances.at(item, other) < distance[item]) {
        distance[item] = distances.at(item, other);
        nearest[item] = other;
      }
    }
  }
  const most = Math.min(nothing, upperFence(distance.filter(Number.isFinite)));
  const sets = new DisjointSets(n);
  for (let item = 0; item < n; item++) {
    if (distance[item] <= most) sets.join(item, nearest[item]);
  }
  return sets.numbered();
}

/** @returns Q3 + 1.5 (Q3 - Q1): what lies beyond is an outlier (Tukey, "Exploratory Data Analysis", 1977) */
function upperFence(values: Float64Array): number {
  const sorted = values.toSorted();
  const quartile = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return quartile(0.75) + 1.5 * (quartile(0.75) - quartile(0.25));
}

class DisjointSets {
  readonly #parent: Int32Array;
  readonly #size: Int32Array;

  constructor(count: number) {
    this.#parent = Int32Array.from({ length: count }, (_, item) => item);
    this.#size = new Int32Array(count).fill(1);
  }

  join(a: number, b: number): void {
    const [x, y] = [this.#rootOf(a), this.#rootOf(b)];
    if (x === y) return;
    this.#parent[y] = x;
    this.#size[x] += this.#size[y];
  }

  /** @returns the set of each item, numbered by first appearance; -1 = sets of one */
  numbered(): Int32Array {
    const numbers = new Map<number, number>();
    return this.#parent.map((_, item) => {
      const root = this.#rootOf(item);
      if (this.#size[root] === 1) return -1;
      const number = numbers.get(root) ?? numbers.size;
      numbers.set(root, number);
      return number;
    });
  }

  #rootOf(item: number): number {
    let root = item;
    while (this.#parent[root] !== root) {
      this.#parent[root] = this.#parent[this.#parent[root]];
      root = this.#parent[root];
    }
    return root;
  }
}
