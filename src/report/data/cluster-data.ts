import type { Merge } from '../../likeness/clusters/agglomerate.ts';
import type { SharedTerm } from '../../likeness/clusters/clusters.ts';
import type { DistanceMatrix } from '../../likeness/clusters/distances.ts';
import type { Label } from './label.ts';

/** What `cluster` found, as plain values; what people and other programs read is made from it. */
export interface ClusterData {
  readonly title: string;
  /** ISO 8601. */
  readonly created: string;
  readonly generator: string;
  /** What was compared, and how. */
  readonly compared: string;
  /** Where the slices are kept; never holds a password. */
  readonly store: string;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly slices: readonly ClusterSlice[];
  readonly clusters: readonly ClusterSummary[];
  readonly method: string | undefined;
  /** Mean over the slices in clusters. */
  readonly silhouette: number | undefined;
  readonly neighbours: readonly NeighbourRow[];
  /** Samples without any slice. */
  readonly withoutSlices: readonly string[];
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
  /** Where families are known. */
  readonly families:
    | { readonly traces: number; readonly adjustedRand: number; readonly nearestAccuracy: number }
    | undefined;
  /** For the charts; `undefined` when there are no clusters. */
  readonly picture: ClusterPicture | undefined;
}

export interface ClusterSlice {
  readonly sample: string;
  readonly rank: number;
  readonly file: string;
  readonly label: Label | undefined;
  readonly family: string | undefined;
  readonly start: number;
  readonly end: number;
  readonly points: number;
  /** Index of `clusters`; `undefined` = like no other. */
  readonly cluster: number | undefined;
}

export interface ClusterSummary {
  /** Indices of `slices`. */
  readonly members: readonly number[];
  readonly medoid: number;
  readonly silhouette: number;
  readonly modules: readonly SharedTerm[];
  readonly functions: readonly SharedTerm[];
  readonly evidence: readonly SharedTerm[];
}

export interface NeighbourRow {
  readonly sample: string;
  readonly rank: number;
  readonly label: Label | undefined;
  readonly family: string | undefined;
  readonly nearest: readonly {
    readonly sample: string;
    readonly rank: number;
    readonly label: Label | undefined;
    readonly family: string | undefined;
    readonly distance: number;
  }[];
}

export interface ClusterPicture {
  readonly distances: DistanceMatrix;
  readonly merges: readonly Merge[];
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
  /** Share of the squared distances that each axis of the map shows. */
  readonly shares: readonly [number, number];
}
