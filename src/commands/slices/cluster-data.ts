import { type Clustering, traitsOf } from '../../likeness/clusters/clusters.ts';
import { mapOfDistances } from '../../likeness/clusters/embedding.ts';
import type { ClusterData, ClusterSlice, NeighbourRow } from '../../report/data/cluster-data.ts';
import type { ClusterResult } from '../cluster.ts';
import type { NamedSlice } from './compare.ts';

/** Makes of a result what reports are made from. */
export function clusterDataOf(result: ClusterResult, version: string): ClusterData {
  const { slices, clustering, distances, names } = result;
  const terms = slices.map(({ slice }) => slice.terms);
  const map = distances === undefined ? undefined : mapOfDistances(distances);
  return {
    title: 'Wayward clusters',
    created: new Date().toISOString(),
    generator: `Wayward ${version}`,
    compared: result.collection.description,
    store: result.place,
    added: result.added,
    removed: result.removed,
    slices: slices.map((slice, i) => {
      const cluster = clustering?.clusterOf[i] ?? -1;
      return { ...identityOf(slice), cluster: cluster < 0 ? undefined : cluster };
    }),
    clusters: (clustering?.clusters ?? []).map((cluster) => ({
      ...cluster,
      ...traitsOf(cluster.members, terms, names),
    })),
    method: clustering && methodInWords(clustering),
    silhouette: clustering?.silhouette,
    neighbours: result.neighbours.map(
      ({ query, neighbours }): NeighbourRow => ({
        ...shortIdentity(query),
        nearest: neighbours.map(({ slice, distance }) => ({ ...shortIdentity(slice), distance })),
      }),
    ),
    withoutSlices: result.withoutSlices,
    skipped: result.skipped,
    families: result.families,
    picture:
      clustering === undefined || distances === undefined || map === undefined
        ? undefined
        : { distances, merges: clustering.merges, ...map },
  };
}

function shortIdentity({
  sample,
  slice,
}: NamedSlice): Pick<ClusterSlice, 'sample' | 'rank' | 'label' | 'family'> {
  const label = sample.label === 'unknown' ? undefined : sample.label;
  return { sample: sample.name, rank: slice.rank, label, family: sample.family };
}

function identityOf(named: NamedSlice): Omit<ClusterSlice, 'cluster'> {
  const { start, end, points } = named.slice;
  return { ...shortIdentity(named), file: named.sample.file, start, end, points };
}

function methodInWords({ method, radius }: Clustering): string {
  switch (method) {
    case 'nearest':
      return 'linked by nearest neighbours';
    case 'dbscan':
      return `DBSCAN with radius ${radius?.toFixed(3) ?? '?'}`;
    case 'average':
      return 'average linkage, cut where the silhouette is largest';
  }
}
