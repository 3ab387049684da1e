import type { BlockTable } from '../flow/blocks.ts';
import type { FirstArrivals } from './first-arrivals.ts';
import type { NearestRun, NominalRuns, Place } from './nominal-runs.ts';

/** A place where a run leaves what the nearest nominal run did. */
export interface Parting {
  /** Block index of the first block that the other never ran. */
  readonly position: number;
  readonly from: Place;
  readonly to: Place;
  /** Nominal runs that ran it. */
  readonly running: number;
}

/** A run beside the nominal run that it is most like. */
export interface NominalComparison {
  /** Nominal runs that were compared. */
  readonly runs: number;
  readonly nearest: NearestRun;
  /** Blocks that only this run ran. */
  readonly onlyHere: number;
  /** Where it left, in the order of the trace. */
  readonly partings: readonly Parting[];
}

/** @returns `undefined` where there are no nominal runs */
export function compareWithNominal(
  blocks: BlockTable,
  arrivals: FirstArrivals,
  nominal: NominalRuns,
): NominalComparison | undefined {
  const nearest = nominal.nearest(blocks);
  if (nearest === undefined) return undefined;
  const placeOf = (block: number): Place => ({
    module: blocks.modules[blocks.module[block]]?.name ?? '',
    offset: blocks.offset[block],
  });
  const ran = Array.from({ length: blocks.length }, (_, block) => {
    const { module, offset } = placeOf(block);
    return nearest.ran(module, offset);
  });
  const partings: Parting[] = [];
  let onlyHere = 0;
  for (let block = 0; block < blocks.length; block++) {
    const position = arrivals.position[block];
    if (position === undefined || ran[block]) continue;
    onlyHere++;
    // What follows on a path of its own is no other parting.
    const before = arrivals.before[block];
    if (before < 0 || !ran[before]) continue;
    const to = placeOf(block);
    const running = nominal.running(to.module, to.offset);
    partings.push({ position, from: placeOf(before), to, running });
  }
  partings.sort((a, b) => a.position - b.position);
  return { runs: nominal.count, nearest, onlyHere, partings };
}
