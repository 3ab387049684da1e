import { adjustedRandIndex } from './agreement.ts';

/** An item of known family. */
export interface FamilyItem {
  readonly family: string;
  /** Below 0 = in no cluster. */
  readonly cluster: number;
  /** Family of the nearest item of another trace; `undefined` when there is none. */
  readonly nearest: string | undefined;
}

/** How well vectors and clusters tell families apart that they were not told. */
export interface FamilyScores {
  readonly traces: number;
  /** Of clusters against families; an item in no cluster counts as a cluster of its own. */
  readonly adjustedRand: number;
  /** Share of items whose nearest neighbour is of their family. */
  readonly nearestAccuracy: number;
}

export function scoreFamilies(items: readonly FamilyItem[]): FamilyScores {
  const right = items.filter(({ family, nearest }) => nearest === family).length;
  return {
    traces: items.length,
    adjustedRand: adjustedRandIndex(
      items.map(({ family }) => family),
      items.map(({ cluster }, i) => (cluster < 0 ? -1 - i : cluster)),
    ),
    nearestAccuracy: items.length === 0 ? 0 : right / items.length,
  };
}
