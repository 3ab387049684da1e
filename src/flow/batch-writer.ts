import type { BlockBatch, BlockSink } from './blocks.ts';

/** Room for entries in one batch. */
export const batchSize: number = 1 << 16;

/** Gathers the blocks and marks of a trace, and hands them on in batches. */
export class BatchWriter {
  /** Entries of a `BlockBatch`, with room for copies of four that run over. */
  readonly entries: Int32Array = new Int32Array(batchSize + 4);
  readonly view: DataView = new DataView(this.entries.buffer);
  length = 0;
  /** Blocks handed on. */
  blockCount = 0;

  sink: BlockSink = () => {};
  #marks = 0;
  #traceOffset = 0;
  #time: number | undefined;

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
      this.length = 0;
      this.blockCount += length - this.#marks;
      this.#marks = 0;
      this.sink({
        entries,
        length,
        traceOffset: this.#traceOffset,
        time: this.#time,
      } satisfies BlockBatch);
    }
    this.#traceOffset = traceOffset;
    this.#time = time;
  }

  /** The time of a batch that has none yet. */
  setTime(time: number): void {
    this.#time ??= time;
  }
}
