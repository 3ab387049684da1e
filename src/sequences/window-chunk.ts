/** Some distinct windows of symbols; laid out as in `WindowSet`. */
export interface WindowChunk {
  readonly length: number;
  readonly symbols: Int32Array;
  readonly targets: Int32Array;
  readonly counts: Float64Array;
}

/** Counted windows that can be gone through, again and again, in parts. */
export interface WindowSource {
  readonly windowLength: number;
  /** Every distinct window once. A chunk's arrays may be reused: copy what must outlive the next one. */
  chunks(): Iterable<WindowChunk>;
}
