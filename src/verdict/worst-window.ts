/** Lengths, in consecutive predictions, at which traces are searched for their worst stretch. */
export const windowLengths = [5, 10, 50, 1000] as const;

export interface WorstWindow {
  /** Mean of the values in it; a trace shorter than the window counts as followed by zeros. */
  readonly mean: number;
  /** Index of its first value, and of the one after its last. */
  readonly start: number;
  readonly end: number;
}

/**
 * The stretch of `length` consecutive values with the largest sum; the first of equals.
 *
 * @param values  value by prediction
 * @param occurrences  prediction of each transfer
 */
export function worstWindow(
  values: Float64Array,
  occurrences: Int32Array,
  length: number,
): WorstWindow {
  const n = occurrences.length;
  const first = Math.min(length, n);
  let sum = 0;
  for (let i = 0; i < first; i++) sum += values[occurrences[i]];
  let worst = sum;
  let end = first;
  for (let i = length; i < n; i++) {
    sum += values[occurrences[i]] - values[occurrences[i - length]];
    // Rounding in the running sum must not make a later window out of an equal earlier one.
    if (sum > worst + 1e-9) {
      worst = sum;
      end = i + 1;
    }
  }
  return { mean: worst / length, start: Math.max(0, end - length), end };
}

/**
 * The largest share of unknown blocks in any stretch of `length` blocks.
 *
 * @param runs  pairs of block index and run length, ascending, disjoint
 */
export function worstUnknownShare(runs: Int32Array, length: number): number {
  // The best stretch can be moved, without losing anything, until it starts where a run starts.
  let worst = 0;
  let inside = 0;
  let next = 0;
  for (let i = 0; i < runs.length; i += 2) {
    const end = runs[i] + length;
    while (next < runs.length && runs[next] + runs[next + 1] <= end) {
      inside += runs[next + 1];
      next += 2;
    }
    const partial = next < runs.length ? Math.max(0, end - Math.max(runs[next], runs[i])) : 0;
    worst = Math.max(worst, inside + partial);
    // A run that is longer than the stretch was never counted as a whole.
    if (next > i) inside -= runs[i + 1];
    else next = i + 2;
  }
  return worst / length;
}
