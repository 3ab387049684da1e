import { appendAll } from '../../base/append.ts';
import type { DistanceMatrix } from './distances.ts';

export interface DbscanOptions {
  /** Items at most this far apart are neighbours. */
  readonly radius: number;
  /** Neighbours, the item itself included, that make an item the core of a cluster. */
  readonly least: number;
}

/**
 * Density-based clusters: cores that are neighbours belong together, and so do their neighbours.
 *
 * @returns the cluster of each item, numbered by first appearance; -1 = noise
 * @see Ester et al., "A density-based algorithm for discovering clusters", KDD 1996
 */
export function dbscan(distances: DistanceMatrix, options: DbscanOptions): Int32Array {
  const { radius, least } = options;
  const n = distances.size;
  const neighbours = (item: number): number[] => {
    const found: number[] = [];
    for (let j = 0; j < n; j++) if (distances.at(item, j) <= radius) found.push(j);
    return found;
  };
  const clusters = new Int32Array(n).fill(-1);
  let count = 0;
  for (let first = 0; first < n; first++) {
    if (clusters[first] >= 0) continue;
    const own = neighbours(first);
    if (own.length < least) continue;
    const cluster = count++;
    clusters[first] = cluster;
    const open = own;
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (clusters[next] >= 0) continue;
      clusters[next] = cluster;
      const further = neighbours(next);
      if (further.length < least) continue;
      appendAll(
        open,
        further.filter((j) => clusters[j] < 0),
      );
    }
  }
  return clusters;
}

/**
 * A radius from the data: the distance to the `least - 1`-th nearest neighbour, over all items in
 * order, rises slowly inside of clusters and steeply outside. The radius is the value at the knee:
 * where the curve lies deepest below the line between its ends.
 *
 * @see Ester et al., section 4.2
 */
export function kneeRadius(distances: DistanceMatrix, least: number): number {
  const n = distances.size;
  if (n < 2) return 0;
  const k = Math.min(least - 1, n - 1);
  const curve = Float64Array.from({ length: n }, (_, i) => {
    const row = Float64Array.from({ length: n }, (__, j) => distances.at(i, j)).sort();
    return row[k];
  }).sort();
  const [low, high] = [curve[0], curve[n - 1]];
  let knee = n - 1;
  let deepest = 0;
  for (let i = 0; i < n; i++) {
    const depth = low + ((high - low) * i) / (n - 1) - curve[i];
    if (depth <= deepest + 1e-12) continue;
    deepest = depth;
    knee = i;
  }
  return curve[knee];
}
