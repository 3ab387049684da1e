import type { Module, Section } from '../image/address-space.ts';
import type { Bitness } from '../x86/block-reader.ts';
import type { Mark } from './mark.ts';

/**
 * The distinct basic blocks met so far, struct of arrays. Grows while a trace is read; entries
 * never change. Index = block id of this table, dense from 0.
 *
 * A block starts at a transfer target or fall-through and ends at the first control-transfer
 * instruction, taken or not: it is a property of the code, not of the trace.
 */
export interface BlockTable {
  readonly length: number;
  readonly modules: readonly Module[];
  /** Index into `modules`; -1 for code outside every module. */
  readonly module: Int32Array;
  /** Start of the block, relative to its module's base (an absolute address when module is -1). */
  readonly offset: Float64Array;
  /** Bytes from the start of the block to the start of its last instruction. */
  readonly lastInstruction: Int32Array;
  /** Bytes from the start of the block to the end of its last instruction. */
  readonly size: Int32Array;
  /** Instructions in the block, a repeated string instruction counted once; 0 when not known. */
  readonly instructions: Int32Array;
  /** `Transfer` kind of the last instruction. */
  readonly kind: Uint8Array;
  /** Width of its code as MODE.Exec told it: 16, 32 or 64. Left out by traces that do not say. */
  readonly bitness?: Uint8Array;
}

/**
 * @param section  that holds the block, whose image may say what its code is
 * @returns width of a block's code, to read it with
 */
export function bitnessOf(
  blocks: BlockTable,
  block: number,
  section: Section | undefined,
): Bitness {
  const known = blocks.bitness?.[block];
  if (known === 16 || known === 32 || known === 64) return known;
  return section?.bits ?? 64;
}

/**
 * Executed blocks in order. `entries[i] >= 0` is a block id of the table; `entries[i] < 0` is the
 * mark `marks[~entries[i]]`. The arrays are reused: a sink that keeps them must copy.
 */
export interface BlockBatch {
  readonly entries: Int32Array;
  /** How many of `entries` are valid. */
  readonly length: number;
  /** Trace offset of a packet at or before the first entry, for pointing into the trace. */
  readonly traceOffset: number;
  /** Time stamp counter at `traceOffset`, when the trace has one. */
  readonly time: number | undefined;
}

export type BlockSink = (batch: BlockBatch) => void;

/** Anything that yields a trace as blocks: the Intel PT decoder, or a stored trace's reader. */
export interface BlockSource {
  /** Valid for the ids seen so far; do not cache its arrays across batches, they are regrown. */
  readonly blocks: BlockTable;
  readonly marks: readonly Mark[];
  /** Reads the whole trace once. Damage becomes marks; only unreadable files throw (`UserError`). */
  run(sink: BlockSink, options?: ReadOptions): Promise<TraceSummary>;
}

export interface ReadOptions {
  readonly signal?: AbortSignal;
  /** Asked between pieces of the trace: reading goes on once what it gives has come. */
  readonly pace?: () => Promise<void> | undefined;
}

/** What was in a trace, counted. */
export interface TraceSummary {
  readonly traceBytes: number;
  readonly blocks: number;
  readonly distinctBlocks: number;
  readonly gaps: number;
  readonly overflows: number;
  /** Trace bytes inside gaps. */
  readonly bytesLost: number;
  readonly asyncTransfers: number;
  /**
   * Flow ended at an event from which it never came back: the program crashed or was killed, or the
   * recording ended while it ran.
   */
  readonly crashed: boolean;
}
