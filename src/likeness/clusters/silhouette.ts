import type { DistanceMatrix } from './distances.ts';

/**
 * How much closer each item is to its own cluster than to the nearest other one: 1 = clearly
 * inside, 0 = between two, below 0 = in the wrong one.
 *
 * @param clusters  of each item; below 0 = in none. Such items and those alone in a cluster have 0
 * @see Rousseeuw, "Silhouettes", Journal of Computational and Applied Mathematics 20, 1987
 */
export function silhouettes(distances: DistanceMatrix, clusters: Int32Array): Float64Array {
  const count = clusters.reduce((most, cluster) => Math.max(most, cluster + 1), 0);
  const sizes = new Int32Array(count);
  for (const cluster of clusters) if (cluster >= 0) sizes[cluster]++;
  const sums = new Float64Array(count);
  return Float64Array.from(clusters, (own, i) => {
    if (own < 0 || sizes[own] < 2) return 0;
    sums.fill(0);
    for (let j = 0; j < clusters.length; j++) {
      if (clusters[j] >= 0) sums[clusters[j]] += distances.at(i, j);
    }
    const inside = sums[own] / (sizes[own] - 1);
    let outside = Number.POSITIVE_INFINITY;
    for (let cluster = 0; cluster < count; cluster++) {
      if (cluster === own || sizes[cluster] === 0) continue;
      outside = Math.min(outside, sums[cluster] / sizes[cluster]);
    }
    const larger = Math.max(inside, outside);
    if (outside === Number.POSITIVE_INFINITY || larger === 0) return 0;
    return (outside - inside) / larger;
  });
}

/** Mean over the items that are in a cluster; 0 when there are none. */
export function meanSilhouette(distances: DistanceMatrix, clusters: Int32Array): number {
  const values = silhouettes(distances, clusters);
  let sum = 0;
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    if (clusters[i] < 0) continue;
    sum += values[i];
    count++;
  }
  return count === 0 ? 0 : sum / count;
}
