import type { BlockBatch, BlockSink } from './blocks.ts';
import type { FinalIds } from './final-ids.ts';

/** Room for entries in one batch. */
export const batchSize: number = 1 << 16;

/** Room with which copies of four may run over. */
export const batchRoom: number = batchSize + 4;

/** Gathers the blocks and marks of a trace, and hands them on in batches. */
export class BatchWriter {
  /** Entries of a `BlockBatch`, with room for copies of four that run over. */
  entries: Int32Array = new Int32Array(batchRoom);
  view: DataView = new DataView(this.entries.buffer);
  length = 0;
  /** What the blocks are called by whoever the batches are for, if not by their nodes. */
  readonly #ids: FinalIds | undefined;
  /** Entries before this one are final, or open. */
  settled = 0;
  /** Where open ones are: from and to, in turns. */
  readonly open: number[] = [];
  /** Blocks handed on. */
  blockCount = 0;

  sink: BlockSink = () => {};
  #marks = 0;
  #traceOffset = 0;
  #time: number | undefined;

  constructor(ids?: FinalIds) {
    this.#ids = ids;
  }

  /** Puts final ids for the nodes that were added. */
  settle(): void {
    const { settled, length } = this;
    if (this.#ids?.settle(this.entries, settled, length)) this.open.push(settled, length);
    this.settled = length;
  }

  /** Where the batch begins that is being gathered, and when. */
  get traceOffset(): number {
    return this.#traceOffset;
  }

  get time(): number | undefined {
    return this.#time;
  }

  /** Blocks so far, those of this batch included. */
  get total(): number {
    return this.blockCount + this.length - this.#marks;
  }

  /** @returns whether `count` more entries fit */
  hasRoom(count: number): boolean {
    return this.length + count <= batchSize;
  }

  /** Adds an entry, for which there is room. */
  add(entry: number): void {
    this.entries[this.length++] = entry;
  }

  addMark(index: number): void {
    this.add(~index);
    this.#marks++;
  }

  /**
   * Hands the batch on, and begins the next one.
   *
   * @param traceOffset  of a packet at or before whatever is added next
   * @param time  time stamp counter there
   */
  flush(traceOffset: number, time: number | undefined): void {
    const { length, entries } = this;
    if (length > 0) {
      this.settle();
      this.length = 0;
      this.settled = 0;
      this.blockCount += length - this.#marks;
      this.#marks = 0;
      this.sink({
        entries,
        length,
        traceOffset: this.#traceOffset,
        time: this.#time,
      } satisfies BlockBatch);
      this.open.length = 0;
    }
    this.#traceOffset = traceOffset;
    this.#time = time;
  }

  /** Hands on a batch of others, with `marks` marks in it, that begins where this one does; that is empty. */
  handOn(entries: Int32Array, marks: number): void {
    this.blockCount += entries.length - marks;
    this.sink({
      entries,
      length: entries.length,
      traceOffset: this.#traceOffset,
      time: this.#time,
    } satisfies BlockBatch);
  }

  /** Adds entries of others, for which there is room, with `marks` marks among them. */
  addAll(entries: Int32Array, marks: number): void {
    this.entries.set(entries, this.length);
    this.length += entries.length;
    this.#marks += marks;
  }

  /** The next batch is gathered in `array` from `at` on, where `batchRoom` entries fit; this one is empty. */
  moveTo(array: Int32Array, at: number): void {
    this.entries = array.subarray(at, at + batchRoom);
    this.view = new DataView(array.buffer, this.entries.byteOffset, 4 * batchRoom);
  }

  /** Begins anew; what was not handed on is dropped. */
  restart(traceOffset: number, time: number | undefined): void {
    this.length = 0;
    this.settled = 0;
    this.open.length = 0;
    this.#marks = 0;
    this.#traceOffset = traceOffset;
    this.#time = time;
  }

  /** The time of a batch that has none yet. */
  setTime(time: number): void {
    this.#time ??= time;
  }
}
