import type { BlockBatch } from '../flow/blocks.ts';

/** When each block of a trace first ran, and from which one it was reached. */
export class FirstArrivals {
  /** By block id of the table: block index in the trace; `undefined` = it never ran. */
  readonly position: number[] = [];
  /** The block before it; -1 = none, or flow was not known. */
  readonly before: number[] = [];
  #next = 0;
  #last = -1;

  /** Takes the next batch of the trace. */
  push({ entries, length }: BlockBatch): void {
    for (let i = 0; i < length; i++) {
      const block = entries[i];
      if (block >= 0) {
        if (this.position[block] === undefined) {
          this.position[block] = this.#next;
          this.before[block] = this.#last;
        }
        this.#next++;
      }
      this.#last = block < 0 ? -1 : block;
    }
  }
}
