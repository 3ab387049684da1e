import type { Evaluation } from '../../evaluation/evaluation.ts';
import { boundedSorts, targetSorts } from '../../evidence/transfer-code.ts';

const isBounded = targetSorts.map((sort) => boundedSorts.includes(sort));
const unknownSort = targetSorts.indexOf('unknown');

/**
 * What a transfer counts in a verdict, in nats at the scale of its place.
 *
 * Nothing where the code itself bounds the target: no pointer led there that somebody may have changed, and
 * harmless code meets new cases all the time.
 *
 * @param sort  index into `targetSorts`
 */
export function countedSurprise(surprise: number, sort: number): number {
  return isBounded[sort] ? 0 : surprise;
}

/**
 * What it counts where transfers are added up in blocks that follow each other.
 *
 * Only where no code is at hand: one redirected transfer cannot be told from a new one there, but many together
 * can. Where the code is known, new code that it explains is a crowd of new transfers, too.
 */
export function crowdedSurprise(surprise: number, sort: number): number {
  return sort === unknownSort ? surprise : 0;
}

/** @returns what each listed transfer counts by itself; `undefined` where no histories predicted */
export function countedSurprises({ histories, occurrences }: Evaluation): Float64Array | undefined {
  if (histories === undefined) return undefined;
  const { surprise, sort } = histories.sources;
  return Float64Array.from(occurrences, (row) => countedSurprise(surprise[row], sort[row]));
}

/** @returns what each listed transfer adds to a crowd; `undefined` where no histories predicted */
export function crowdedSurprises({ histories, occurrences }: Evaluation): Float64Array | undefined {
  if (histories === undefined) return undefined;
  const { surprise, sort } = histories.sources;
  return Float64Array.from(occurrences, (row) => crowdedSurprise(surprise[row], sort[row]));
}
