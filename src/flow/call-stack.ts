/** Compressed returns reach this many calls back. SDM, "RET compression". */
const ringSize = 64;

/**
 * Calls that compressed returns go back to, as node ids of the blocks that end in them.
 *
 * A ring that drops the oldest call. It keeps note of what changed since `mark`, so that the same
 * change can be made again without following the code.
 */
export class CallStack {
  readonly #ring: Int32Array = new Int32Array(ringSize);
  #top = 0;
  #depth = 0;

  /** Calls taken off since `mark` that were there before it, in the order of their returns. */
  readonly popped: Int32Array = new Int32Array(ringSize);
  poppedLength = 0;
  /** Calls put on since `mark` that are still there. */
  pushedLength = 0;

  push(call: number): void {
    this.#ring[this.#top] = call;
    this.#top = (this.#top + 1) & (ringSize - 1);
    if (this.#depth < ringSize) this.#depth++;
    this.pushedLength++;
  }

  /** @returns the youngest call, which is taken off; -1 when there is none */
  pop(): number {
    if (this.#depth === 0) return -1;
    this.#depth--;
    this.#top = (this.#top - 1) & (ringSize - 1);
    const call = this.#ring[this.#top];
    if (this.pushedLength > 0) this.pushedLength--;
    else if (this.poppedLength < ringSize) this.popped[this.poppedLength++] = call;
    return call;
  }

  pushAll(calls: Int32Array, from: number, to: number): void {
    for (let i = from; i < to; i++) this.push(calls[i]);
  }

  /** @returns whether the youngest calls are `calls[from..to)`, youngest first */
  endsIn(calls: Int32Array, from: number, to: number): boolean {
    if (to - from > this.#depth) return false;
    let top = this.#top;
    for (let i = from; i < to; i++) {
      top = (top - 1) & (ringSize - 1);
      if (this.#ring[top] !== calls[i]) return false;
    }
    return true;
  }

  /** Takes off `count` calls, which are there. */
  drop(count: number): void {
    this.#top = (this.#top - count) & (ringSize - 1);
    this.#depth -= count;
  }

  clear(): void {
    this.#depth = 0;
  }

  /** Forgets what changed: `popped` and `pushed` count from here. */
  mark(): void {
    this.poppedLength = 0;
    this.pushedLength = 0;
  }

  /** @returns whether all calls that were put on since `mark` are still known */
  get isPushedKnown(): boolean {
    return this.pushedLength <= this.#depth;
  }

  /** Copies the calls put on since `mark` to `target`, oldest first. */
  copyPushed(target: Int32Array, at: number): void {
    const from = this.#top - this.pushedLength;
    for (let i = 0; i < this.pushedLength; i++) {
      target[at + i] = this.#ring[(from + i) & (ringSize - 1)];
    }
  }
}
