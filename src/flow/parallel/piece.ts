import type { Errata } from '../../pt/errata.ts';
import type { Mark } from '../mark.ts';
import type { CallsOfPiece, Standing } from '../standing.ts';

/** Some of the bytes of a trace. The PSB+ that the next piece begins with is the end of this one, too. */
export interface Piece {
  /** Trace offset of its first byte. */
  readonly offset: number;
  /** Whole packets, but at the end of a trace; may be shared between threads. */
  readonly bytes: Uint8Array;
  /** Bytes of the PSB+ that it begins with, after which flow is known; 0 where it begins anywhere. */
  readonly head: number;
}

/** What all pieces of a trace are decoded with. */
export interface PieceSetup {
  readonly sharesProcessor: boolean;
  readonly errata: Errata;
  readonly isTimed: boolean;
  readonly maxBlocks: number;
  readonly maxMarks: number;
}

/** Numbers of a batch's head: entries, trace offset, ticks before it. */
export const headSize = 3;

/** What a decoder found in a piece, behind the PSB+ that it begins with. */
export interface DecodedPiece {
  readonly start: Standing;
  /** The block that flow stands at; of which block it is the end, the decoder did not know. */
  readonly startNode: number;
  /** What was found would be another if that block began elsewhere, or flow had come there in another way. */
  readonly isStartUsed: boolean;
  readonly end: Standing;
  /** Ids of blocks, `firstOpen` and more for nodes that have none, and `~index` of marks. More than are used. */
  readonly entries: Int32Array;
  /** Where entries are that are open: from and to, in turns. */
  readonly open: Int32Array<ArrayBuffer>;
  /** `[batches, headSize]`, row-major. */
  readonly heads: Float64Array<ArrayBuffer>;
  /** Trace offset at which the batch began that flow at `start` belongs to. */
  readonly firstHead: number;
  /** Their time counts ticks. */
  readonly marks: readonly Mark[];
  /** Index of each in `entries`. */
  readonly marksAt: readonly number[];
  /** Packets that tell the time, one behind the other. */
  readonly ticks: Uint8Array<ArrayBuffer>;
  /** Blocks that this decoder met for the first time, as `ControlFlowGraph.rowsFrom` gives them. */
  readonly rows: Float64Array<ArrayBuffer>;
  readonly calls: CallsOfPiece;
  readonly gaps: number;
  readonly bytesLost: number;
  readonly overflows: number;
  readonly asyncTransfers: number;
}

/** Decoders of one trace. Each of them remembers the code, and the stretches of trace, of its pieces. */
export interface PieceDecoders {
  readonly count: number;
  /** They can be given pieces. */
  readonly areReady: boolean;
  /**
   * @param decoder  index of one of them, which does its pieces one after the other
   * @returns `undefined` where this piece cannot be decoded without what lies before it
   */
  decode(decoder: number, piece: Piece): Promise<DecodedPiece | undefined>;
  /**
   * A piece of a decoder was joined, the oldest that was not.
   *
   * @param ids  of the blocks of its rows
   * @param entries  of the piece, to be used again
   */
  learn(decoder: number, ids: Int32Array<ArrayBuffer>, entries: Int32Array): void;
  /** They forget all, those under way included. */
  renew(): void;
  /** No more pieces come. */
  close(): void;
}
