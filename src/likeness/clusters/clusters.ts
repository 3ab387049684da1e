import type { TermNames } from '../slices/slice-terms.ts';
import type { Terms } from '../slices/sparse-vector.ts';
import { agglomerate, cutBySilhouette, type Merge } from './agglomerate.ts';
import { dbscan, kneeRadius } from './dbscan.ts';
import type { DistanceMatrix } from './distances.ts';
import { nearestClusters } from './nearest-clusters.ts';
import { silhouettes } from './silhouette.ts';

/**
 * - `nearest`: what is linked by being each other's nearest
 * - `dbscan`: what lies densely
 * - `average`: average linkage, cut where the silhouette is largest
 */
export const clusterMethods = ['nearest', 'dbscan', 'average'] as const;
export type ClusterMethod = (typeof clusterMethods)[number];

export interface ClusterOptions {
  readonly method: ClusterMethod;
  /** DBSCAN: `undefined` = the knee of the distances to the nearest neighbours. */
  readonly radius: number | undefined;
  /** DBSCAN: items, with itself, within the radius of a core. */
  readonly least: number;
}

export interface Cluster {
  /** Items, ascending. */
  readonly members: readonly number[];
  /** The member that is closest to the others on average. */
  readonly medoid: number;
  /** Mean of its members. */
  readonly silhouette: number;
}

export interface Clustering {
  readonly method: ClusterMethod;
  /** DBSCAN's radius, as it was used. */
  readonly radius: number | undefined;
  readonly clusters: readonly Cluster[];
  /** Cluster of each item; -1 = alone. */
  readonly clusterOf: Int32Array;
  /** Mean over all items in clusters. */
  readonly silhouette: number;
  /** The tree of average linkage, whatever the method: it orders a heat map. */
  readonly merges: readonly Merge[];
}

/**
 * Groups items by their distances. An item that is like no other is in no cluster.
 *
 * @param groupOf  `nearest` looks for the nearest item of another group
 */
export function makeClusters(
  distances: DistanceMatrix,
  options: ClusterOptions,
  groupOf?: (item: number) => unknown,
): Clustering {
  const { method, least } = options;
  const merges = agglomerate(distances);
  let radius: number | undefined;
  let clusterOf: Int32Array;
  if (method === 'nearest') {
    clusterOf = nearestClusters(distances, groupOf);
  } else if (method === 'dbscan') {
    radius = options.radius ?? kneeRadius(distances, least);
    clusterOf = dbscan(distances, { radius, least });
  } else {
    clusterOf = withoutLoners(cutBySilhouette(distances, merges));
  }
  const values = silhouettes(distances, clusterOf);
  const count = clusterOf.reduce((most, cluster) => Math.max(most, cluster + 1), 0);
  const members: number[][] = Array.from({ length: count }, () => []);
  clusterOf.forEach((cluster, item) => {
    if (cluster >= 0) members[cluster].push(item);
  });
  const mean = (items: readonly number[]): number =>
    items.length === 0 ? 0 : items.reduce((sum, item) => sum + values[item], 0) / items.length;
  return {
    method,
    radius,
    clusterOf,
    merges,
    clusters: members.map((items) => ({
      members: items,
      medoid: medoidOf(distances, items),
      silhouette: mean(items),
    })),
    silhouette: mean(members.flat()),
  };
}

/** Clusters of one become -1; the others are numbered by first appearance. */
function withoutLoners(clusters: Int32Array): Int32Array {
  const sizes = new Map<number, number>();
  for (const cluster of clusters) sizes.set(cluster, (sizes.get(cluster) ?? 0) + 1);
  const numbers = new Map<number, number>();
  return clusters.map((cluster) => {
    if ((sizes.get(cluster) ?? 0) < 2) return -1;
    const number = numbers.get(cluster) ?? numbers.size;
    numbers.set(cluster, number);
    return number;
  });
}

function medoidOf(distances: DistanceMatrix, items: readonly number[]): number {
  let best = items[0];
  let least = Number.POSITIVE_INFINITY;
  for (const i of items) {
    let sum = 0;
    for (const j of items) sum += distances.at(i, j);
    if (sum >= least - 1e-9) continue;
    least = sum;
    best = i;
  }
  return best;
}

/** Something that members of a cluster have in common. */
export interface SharedTerm {
  readonly name: string;
  /** Share of the members, and of all other items, that have it. */
  readonly inside: number;
  readonly outside: number;
}

export interface ClusterTraits {
  readonly modules: readonly SharedTerm[];
  readonly functions: readonly SharedTerm[];
  readonly evidence: readonly SharedTerm[];
}

const mostTraits = 12;

/**
 * What describes a cluster: what most of its members have, first what few others have.
 *
 * @param terms  of all items
 */
export function traitsOf(
  members: readonly number[],
  terms: readonly Terms[],
  names: TermNames,
): ClusterTraits {
  const isMember = new Uint8Array(terms.length);
  for (const item of members) isMember[item] = 1;
  const share = (keysOf: (item: Terms) => Iterable<string>): SharedTerm[] => {
    const inside = new Map<string, number>();
    const outside = new Map<string, number>();
    terms.forEach((item, i) => {
      const counts = isMember[i] === 1 ? inside : outside;
      for (const key of new Set(keysOf(item))) counts.set(key, (counts.get(key) ?? 0) + 1);
    });
    const others = Math.max(1, terms.length - members.length);
    return Array.from(inside, ([name, count]) => ({
      name,
      inside: count / members.length,
      outside: (outside.get(name) ?? 0) / others,
    }))
      .filter((term) => term.inside > 0.5)
      .sort(
        (a, b) =>
          b.inside - b.outside - (a.inside - a.outside) ||
          b.inside - a.inside ||
          (a.name < b.name ? -1 : 1),
      )
      .slice(0, mostTraits);
  };
  const named = (ids: Int32Array | undefined): string[] =>
    Array.from(ids ?? [], (id) => names.get(id) ?? '?');
  const places = (item: Terms): string[] =>
    named(item.functions?.ids ?? item.blocks?.ids ?? item.classes?.ids);
  return {
    modules: share((item) => places(item).flatMap((place) => moduleOf(place) ?? [])),
    functions: share((item) => named(item.functions?.ids)),
    evidence: share((item) => named(item.evidence?.ids)),
  };
}

/** `libc.so.6` of `libc.so.6!puts` or `libc.so.6+0x2a1b0` */
function moduleOf(place: string): string | undefined {
  return /^(.+?)(?:!|\+0x)/.exec(place)?.[1];
}
