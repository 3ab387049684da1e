import type { AddressSpace } from '../../image/address-space.ts';
import { batchRoom } from '../batch-writer.ts';
import type { BlockBatch } from '../blocks.ts';
import type { CodeCache } from '../code-cache.ts';
import { FinalIds } from '../final-ids.ts';
import type { Mark } from '../mark.ts';
import { TraceDecoder } from '../trace-decoder.ts';
import type { DecodedPiece, Piece, PieceSetup } from './piece.ts';
import { TickLog } from './tick-log.ts';

/** Entries that a piece may have (64 MiB), so that memory is bounded; usual ones have two for each byte. */
const mostEntries = 1 << 24;

class TooManyEntries extends Error {}

/** Decodes pieces of one trace without what lies before them, for `PieceJoiner` to put together. */
export class PieceDecoder {
  readonly #decoder: TraceDecoder;
  readonly #ticks: TickLog = new TickLog();
  readonly #ids: FinalIds = new FinalIds();
  /** Arrays that pieces before were told in. */
  readonly #free: Int32Array[];
  #entries: Int32Array = new Int32Array(0);
  #length = 0;
  #heads: number[] = [];
  #marksAt: number[] = [];
  #open: number[] = [];
  /** Ticks of the PSB+ that the piece begins with. */
  #firstTick = 0;

  /** @param free  arrays for entries; what is taken comes back by the caller */
  constructor(
    space: AddressSpace,
    codeCache: CodeCache,
    setup: PieceSetup,
    free: Int32Array[] = [],
  ) {
    this.#free = free;
    this.#decoder = new TraceDecoder(
      { ...setup, space, codeCache, input: new Uint8Array(0) },
      { clock: this.#ticks, ids: this.#ids },
    );
    this.#decoder.begin((batch) => this.#add(batch));
  }

  /**
   * @returns `undefined` where flow depends on more than the PSB+ says, or waits for what comes behind the piece:
   *   then this decoder cannot be used any more
   */
  decode(piece: Piece): DecodedPiece | undefined {
    try {
      return this.#decode(piece);
    } catch (error) {
      if (error instanceof TooManyEntries) return undefined;
      throw error;
    }
  }

  /** @param ids  of the blocks that were new in the oldest piece that was not learned */
  learn(ids: Int32Array): void {
    this.#ids.add(ids);
    this.#decoder.closeIds(this.#ids);
  }

  #decode({ offset, bytes, head }: Piece): DecodedPiece | undefined {
    const decoder = this.#decoder;
    this.#entries = this.#free.pop() ?? shared(bytes.length * 2);
    this.#length = 0;
    this.#makeRoom();
    this.#heads = [];
    this.#marksAt = [];
    this.#open = [];
    this.#ticks.reset();
    decoder.beginPiece(offset);
    const known = decoder.blocks.length;
    decoder.decodeTo(bytes, head);
    const start = decoder.standing;
    const { batch, calls } = decoder.parts.state;
    if (start === undefined || decoder.position !== offset + head) return undefined;
    if (this.#heads.length > 0 || batch.length > 0) return undefined;
    const startNode = decoder.beginFlow();
    const firstHead = batch.traceOffset;
    this.#firstTick = this.#ticks.time;
    this.#ticks.drop();

    decoder.decodeTo(bytes, bytes.length);
    const end = decoder.standing;
    if (end === undefined || decoder.position !== offset + bytes.length) return undefined;
    if (calls.isUnderrun) return undefined;
    if (batch.length === 0) this.#addHead(0, batch.traceOffset, batch.time);
    decoder.handOn();
    const { log, graph, overflows, asyncTransfers, outerReturns } = decoder.parts;
    return {
      ...{ start, startNode, isStartUsed: decoder.isStartUsed, end },
      entries: this.#entries,
      open: Int32Array.from(this.#open),
      heads: Float64Array.from(this.#heads),
      firstHead,
      marks: log.marks.map((mark) => this.#counted(mark)),
      marksAt: this.#marksAt,
      ticks: this.#ticks.take(),
      rows: graph.rowsFrom(known),
      calls: {
        made: calls.list(),
        isCleared: !calls.isPartial,
        deepest: calls.deepest,
        outerReturns,
      },
      ...{ gaps: log.gaps, bytesLost: log.bytesLost, overflows, asyncTransfers },
    };
  }

  /** The next batch is gathered behind those that are done. */
  #makeRoom(): void {
    const length = this.#length + batchRoom;
    if (length > this.#entries.length) {
      if (length > mostEntries) throw new TooManyEntries();
      const larger = shared(length * 2);
      larger.set(this.#entries.subarray(0, this.#length));
      this.#entries = larger;
    }
    this.#decoder.parts.state.batch.moveTo(this.#entries, this.#length);
  }

  #add({ entries, length, traceOffset, time }: BlockBatch): void {
    for (const index of this.#decoder.parts.state.batch.open) this.#open.push(this.#length + index);
    const { marks } = this.#decoder;
    // Each mark is added once, in order.
    for (let i = 0; this.#marksAt.length < marks.length && i < length; i++) {
      if (entries[i] < 0) this.#marksAt.push(this.#length + i);
    }
    this.#length += length;
    this.#addHead(length, traceOffset, time);
    this.#makeRoom();
  }

  #addHead(length: number, traceOffset: number, time: number | undefined): void {
    this.#heads.push(length, traceOffset, this.#ticksBefore(time));
  }

  #counted(mark: Mark): Mark {
    return mark.kind === 'thread' ? mark : { ...mark, time: this.#ticksBefore(mark.time) };
  }

  /** @returns ticks since PSB+ ended */
  #ticksBefore(time: number | undefined): number {
    return Math.max(0, (time ?? 0) - this.#firstTick);
  }
}

/** Another thread reads it in place: nothing is moved, and the collectors of both have less to look after. */
function shared(length: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * length));
}
