import { showCount } from '../../base/text/format.ts';
import {
  type Clustering,
  type ClusterOptions,
  makeClusters,
} from '../../likeness/clusters/clusters.ts';
import { DistanceMatrix } from '../../likeness/clusters/distances.ts';
import { type FamilyScores, scoreFamilies } from '../../likeness/clusters/family-scores.ts';
import { NeighbourIndex } from '../../likeness/slices/neighbour-index.ts';
import type { SampleSlices, SliceTerms } from '../../likeness/slices/slice-record.ts';
import { cosine, type SparseVector, Vectorizer } from '../../likeness/slices/sparse-vector.ts';
import {
  partsOfVector,
  type VectorKind,
  type Weighting,
} from '../../likeness/slices/vector-kinds.ts';
import type { RunContext } from '../../model/first-layer.ts';

export interface CompareOptions {
  readonly vector: VectorKind;
  /** `undefined` = as the kind of vector has it. */
  readonly weighting: Weighting | undefined;
  /** Neighbours for each slice. */
  readonly k: number;
  readonly clusters: ClusterOptions;
  /** Clusters are made of so many slices at most: they take every distance between two. */
  readonly mostClustered: number;
}

/** What `cluster` does unless it is told otherwise. */
export const usualComparison: CompareOptions = {
  vector: 'behaviour',
  weighting: undefined,
  k: 1,
  clusters: { method: 'nearest', radius: undefined, least: 3 },
  mostClustered: 4000,
};

/** A slice that is known by name. */
export interface NamedSlice {
  readonly sample: SampleSlices;
  readonly slice: SliceTerms;
}

export interface FoundNeighbours {
  readonly query: NamedSlice;
  /** Nearest first. */
  readonly neighbours: readonly { readonly slice: NamedSlice; readonly distance: number }[];
}

export interface Comparison {
  /** All slices that are compared with, sample by sample. */
  readonly slices: readonly NamedSlice[];
  /** Of the queries; of the compared slices, each with those of other samples, when there are none. */
  readonly neighbours: readonly FoundNeighbours[];
  /** Samples that have no slice. */
  readonly withoutSlices: readonly string[];
  /** `undefined` when there are fewer than three slices, or too many. */
  readonly clustering: Clustering | undefined;
  readonly distances: DistanceMatrix | undefined;
  /** Where families are known: of the worst slice of each trace. */
  readonly families: FamilyScores | undefined;
}

function slicesOf(samples: readonly SampleSlices[]): NamedSlice[] {
  return samples.flatMap((sample) => sample.slices.map((slice) => ({ sample, slice })));
}

/** What there is to compare, without comparing it. */
export function listSlices(samples: readonly SampleSlices[]): Comparison {
  return {
    slices: slicesOf(samples),
    neighbours: [],
    withoutSlices: samples.filter(({ slices }) => slices.length === 0).map(({ name }) => name),
    clustering: undefined,
    distances: undefined,
    families: undefined,
  };
}

/**
 * Looks for neighbours and makes clusters.
 *
 * @param samples  what is compared with
 * @param queried  whose neighbours are wanted; `undefined` = those of all `samples`
 */
export function compareSlices(
  samples: readonly SampleSlices[],
  queried: readonly SampleSlices[] | undefined,
  options: CompareOptions,
  context: Pick<RunContext, 'log'>,
): Comparison {
  const slices = slicesOf(samples);
  const terms = slices.map(({ slice }) => slice.terms);
  const vectorizer = new Vectorizer(partsOfVector(options.vector, options.weighting), terms);
  const vectors = terms.map((item) => vectorizer.vector(item));
  const index = new NeighbourIndex(vectors);
  const find = (query: NamedSlice, vector: SparseVector, k: number): FoundNeighbours => ({
    query,
    // The same trace under its own name is no news.
    neighbours: index
      .nearest(vector, k, (item) => slices[item].sample.name !== query.sample.name)
      .map(({ item, distance }) => ({ slice: slices[item], distance })),
  });
  const withoutSlices = [...samples, ...(queried ?? [])]
    .filter((sample) => sample.slices.length === 0)
    .map(({ name }) => name);
  const canCluster = slices.length >= 3 && slices.length <= options.mostClustered;
  if (slices.length > options.mostClustered) {
    context.log.log(
      'warning',
      `no clusters: there are ${showCount(slices.length)} slices, and they are made of ${showCount(options.mostClustered)} at most`,
    );
  }
  const distances = canCluster
    ? DistanceMatrix.from(slices.length, (i, j) => distanceOf(vectors[i], vectors[j]))
    : undefined;
  const clustering =
    distances === undefined
      ? undefined
      : makeClusters(distances, options.clusters, (item) => slices[item].sample);
  // Without queries every slice is one, unless there are so many that nobody would read the list.
  const neighbours =
    queried !== undefined
      ? slicesOf(queried).map((query) =>
          find(query, vectorizer.vector(query.slice.terms), options.k),
        )
      : canCluster
        ? slices.map((slice, i) => find(slice, vectors[i], options.k))
        : [];
  return {
    slices,
    neighbours,
    withoutSlices: [...new Set(withoutSlices)],
    clustering,
    distances,
    families:
      queried !== undefined || clustering === undefined
        ? undefined
        : familyScores(slices, neighbours, clustering),
  };
}

/** Slices without any term are like nothing. */
function distanceOf(a: SparseVector, b: SparseVector): number {
  return Math.min(1, Math.max(0, 1 - cosine(a, b)));
}

function familyScores(
  slices: readonly NamedSlice[],
  neighbours: readonly FoundNeighbours[],
  clustering: Clustering,
): FamilyScores | undefined {
  const items = slices.flatMap(({ sample, slice }, i) => {
    const isWorst = slice === sample.slices[0];
    if (!isWorst || sample.family === undefined) return [];
    const nearest = neighbours[i].neighbours[0]?.slice.sample.family;
    return [{ family: sample.family, cluster: clustering.clusterOf[i], nearest }];
  });
  return items.length < 2 ? undefined : scoreFamilies(items);
}
