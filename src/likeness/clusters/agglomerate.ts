import type { DistanceMatrix } from './distances.ts';
import { meanSilhouette } from './silhouette.ts';

/** Two groups that become one. Groups 0 to n-1 are the items, group n + k is what merge k made. */
export interface Merge {
  readonly left: number;
  readonly right: number;
  /** Mean distance between their items. */
  readonly height: number;
  /** Items in the new group. */
  readonly size: number;
}

/**
 * Average linkage: merges the two groups with the least mean distance between their items, again
 * and again. O(n^2), by chains of nearest neighbours.
 *
 * @returns n - 1 merges, lowest first
 * @see Murtagh, "A survey of recent advances in hierarchical clustering algorithms", 1983
 */
export function agglomerate(distances: DistanceMatrix): Merge[] {
  const n = distances.size;
  const between = distances.copy();
  const sizes = new Int32Array(n).fill(1);
  const isActive = new Uint8Array(n).fill(1);
  // A merged group lives on in the place of one of its items.
  const merges: { a: number; b: number; height: number }[] = [];
  const chain: number[] = [];
  let lowest = 0;
  while (merges.length < n - 1) {
    if (chain.length === 0) {
      while (isActive[lowest] === 0) lowest++;
      chain.push(lowest);
    }
    const last = chain[chain.length - 1];
    const before = chain.length > 1 ? chain[chain.length - 2] : -1;
    // Of equals the one before wins, so that chains end.
    let nearest = before;
    let least = before < 0 ? Number.POSITIVE_INFINITY : between.at(last, before);
    for (let i = 0; i < n; i++) {
      if (isActive[i] === 0 || i === last) continue;
      const distance = between.at(last, i);
      if (distance < least) {
        least = distance;
        nearest = i;
      }
    }
    if (nearest !== before) {
      chain.push(nearest);
      continue;
    }
    chain.length -= 2;
    const [keep, drop] = last < before ? [last, before] : [before, last];
    merges.push({ a: keep, b: drop, height: least });
    isActive[drop] = 0;
    const total = sizes[keep] + sizes[drop];
    for (let i = 0; i < n; i++) {
      if (isActive[i] === 0 || i === keep) continue;
      const sum = sizes[keep] * between.at(keep, i) + sizes[drop] * between.at(drop, i);
      between.set(keep, i, sum / total);
    }
    sizes[keep] = total;
  }
  return inOrder(merges, n);
}

/** Sorts merges by height and names groups by the merge that made them. */
function inOrder(merges: readonly { a: number; b: number; height: number }[], n: number): Merge[] {
  const sorted = merges.map((merge, i) => ({ ...merge, i }));
  sorted.sort((x, y) => x.height - y.height || x.i - y.i);
  const parents = Int32Array.from({ length: n }, (_, i) => i);
  const group = Int32Array.from({ length: n }, (_, i) => i);
  const sizes = new Int32Array(n).fill(1);
  const rootOf = (item: number): number => {
    let root = item;
    while (parents[root] !== root) {
      parents[root] = parents[parents[root]];
      root = parents[root];
    }
    return root;
  };
  return sorted.map(({ a, b, height }, k) => {
    const [left, right] = [rootOf(a), rootOf(b)];
    const merge = {
      left: Math.min(group[left], group[right]),
      right: Math.max(group[left], group[right]),
      height,
      size: sizes[left] + sizes[right],
    };
    parents[right] = left;
    sizes[left] = merge.size;
    group[left] = n + k;
    return merge;
  });
}

/** @returns the cluster of each item, numbered by first appearance, after all but the last merges */
export function cutInto(merges: readonly Merge[], count: number): Int32Array {
  const n = merges.length + 1;
  const parents = Int32Array.from({ length: 2 * n - 1 }, (_, i) => i);
  for (let k = 0; k < n - count; k++) {
    parents[merges[k].left] = n + k;
    parents[merges[k].right] = n + k;
  }
  const numbers = new Map<number, number>();
  return Int32Array.from({ length: n }, (_, item) => {
    let root = item;
    while (parents[root] !== root) root = parents[root];
    const number = numbers.get(root) ?? numbers.size;
    numbers.set(root, number);
    return number;
  });
}

/** More clusters than this are not looked for. */
const mostClusters = 64;

/**
 * Cuts the tree where the mean silhouette is largest; of equals, into fewer clusters.
 *
 * @returns the cluster of each item; all 0 when there are fewer than three items
 */
export function cutBySilhouette(distances: DistanceMatrix, merges: readonly Merge[]): Int32Array {
  const n = distances.size;
  let best = new Int32Array(n);
  let most = 0;
  for (let count = 2; count <= Math.min(n - 1, mostClusters); count++) {
    // Items at the same height belong together: there is no cut between them.
    if (merges[n - count].height - merges[n - count - 1].height <= 1e-6) continue;
    const clusters = cutInto(merges, count);
    const value = meanSilhouette(distances, clusters);
    if (value <= most + 1e-9) continue;
    most = value;
    best = clusters as Int32Array<ArrayBuffer>;
  }
  return best;
}
