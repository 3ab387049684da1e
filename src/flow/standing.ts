import type { Address } from '../base/address.ts';
import type { Bitness } from '../x86/block-reader.ts';
import { Transfer } from '../x86/transfer.ts';

/**
 * Where flow stands between two packets while nothing waits. With the calls that compressed returns go back to,
 * it decides what the packets behind it mean.
 */
export interface Standing {
  /** The block that execution has reached. */
  readonly block: BlockEnd;
  /** What MODE.Exec said last. */
  readonly mode: Bitness;
  readonly isModeKnown: boolean;
  /** The last IP, in halves. */
  readonly ipLow: number;
  readonly ipHigh: number;
  /** Nothing ran since, and it was told where no flow led. */
  readonly isFresh: boolean;
}

/** A block from some instruction of it on: how it ends decides what comes next. */
export interface BlockEnd {
  readonly address: Address;
  readonly bitness: Bitness;
  readonly kind: number;
  readonly lastInstruction: Address;
  readonly end: Address;
}

/** A return to a call that lies before the piece: it is not compressed, so flow goes on without that call. */
export interface OuterReturn {
  readonly to: Address;
  /** The most calls of the piece until then. */
  readonly deepest: number;
}

/** What a piece of a trace did to the calls that returns go back to. */
export interface CallsOfPiece {
  /** Calls that it made and that wait for their return, oldest first, as node ids. */
  readonly made: readonly number[];
  /** Flow was lost in between: the calls from before are forgotten. */
  readonly isCleared: boolean;
  /** The most calls of its own that it had at once. */
  readonly deepest: number;
  readonly outerReturns: readonly OuterReturn[];
}

/**
 * @param from  where a piece begins, of whose first block only what follows PSB+ is known
 * @param isExact  what it did depends on the start of that block, or on how flow came there
 * @returns whether flow that stands at `to` goes on as it does from `from`
 */
export function goesOnFrom(from: Standing, to: Standing | undefined, isExact: boolean): boolean {
  if (to === undefined || !isSameEnd(from.block, to.block)) return false;
  const isSame = from.block.address === to.block.address && from.isFresh === to.isFresh;
  if (isExact && !isSame) return false;
  const { mode, isModeKnown, ipLow, ipHigh } = from;
  const isSameMode = mode === to.mode && isModeKnown === to.isModeKnown;
  return isSameMode && ipLow === to.ipLow && ipHigh === to.ipHigh;
}

function isSameEnd(a: BlockEnd, b: BlockEnd): boolean {
  if (a.bitness !== b.bitness || a.kind !== b.kind) return false;
  // Of code that is not known, or that cannot be left, nothing is known but where it begins.
  if (a.kind === Transfer.none) return a.address === b.address;
  return a.lastInstruction === b.lastInstruction && a.end === b.end;
}
