/** Index into a vocabulary's input side; 0 is the unknown class. */
export type ClassId = number;

/**
 * Distinct windows with how often each occurred.
 *
 * A window is the last `windowLength` blocks up to and including a block that ends in a filtered
 * transfer; its target is the block that came next. `symbols` is `[length, windowLength]`,
 * row-major, oldest first.
 */
export interface WindowSet {
  readonly length: number;
  readonly windowLength: number;
  /** Input classes. */
  readonly symbols: Int32Array;
  /** Output classes, one a window; 0 = a target that the vocabulary does not know. */
  readonly targets: Int32Array;
  /** Occurrences, one a window, at least 1. Doubles, because sums pass 2^32. */
  readonly counts: Float64Array;
}

/** What a first layer predicted for each window of a set, all arrays of its length. */
export interface Predictions {
  /** Most probable output class. */
  readonly predicted: Int32Array;
  /** How likely it is right: its probability, or what that has proved to be worth on unseen windows. */
  readonly confidence: Float32Array;
  /** Probability given to the target that came (class 0 counts as a class). */
  readonly targetProbability: Float32Array;
  /**
   * How many classes come before the target, the more probable ones first, equal ones by their
   * number: 0 = predicted correctly.
   */
  readonly targetRank: Int32Array;
}
