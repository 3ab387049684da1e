/** Cells of the shared memory. Blocks are counted modulo 2^32: fewer than 2^31 ever wait. */
const cell = { judged: 0, wanted: 1, isAsked: 2 } as const;

/** Memory of one run that both threads see. */
export type SharedProgress = Int32Array<SharedArrayBuffer>;

/**
 * How far the judging of a run has come, for the thread that sends it. The count lies in shared memory: a message for
 * each piece would wake the sender each time, and on a busy machine it then takes the processor of who judges; a
 * third of the judging thread's time went into that.
 */
export class RunProgress {
  readonly shared: SharedProgress = new Int32Array(new SharedArrayBuffer(4 * 3));
  #sent = 0;
  #hasEnded = false;

  /** So many blocks more are to be judged. */
  send(blocks: number): void {
    this.#sent = (this.#sent + blocks) | 0;
  }

  /** Blocks that were sent and are not judged. */
  get waiting(): number {
    return this.#hasEnded ? 0 : (this.#sent - Atomics.load(this.shared, cell.judged)) | 0;
  }

  /**
   * Asks to be told when no more than `most` blocks wait.
   *
   * @returns false where that is so already: nothing will be told
   */
  ask(most: number): boolean {
    Atomics.store(this.shared, cell.wanted, (this.#sent - most) | 0);
    Atomics.store(this.shared, cell.isAsked, 1);
    // Who judges may have looked before that was written, and be done.
    return this.waiting > most || !takeQuestion(this.shared);
  }

  /** Nothing is judged any more. */
  end(): void {
    this.#hasEnded = true;
  }
}

/** For the judging thread: so many blocks more are judged. @returns whether it is to tell that it has caught up */
export function judged(shared: SharedProgress, blocks: number): boolean {
  const count = (Atomics.add(shared, cell.judged, blocks) + blocks) | 0;
  if (Atomics.load(shared, cell.isAsked) === 0) return false;
  return ((count - Atomics.load(shared, cell.wanted)) | 0) >= 0 && takeQuestion(shared);
}

/** @returns whether the question was there; one of the two threads gets it */
function takeQuestion(shared: SharedProgress): boolean {
  return Atomics.compareExchange(shared, cell.isAsked, 1, 0) === 1;
}
