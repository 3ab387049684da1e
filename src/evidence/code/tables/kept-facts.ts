/**
 * Keeps what takes long to find out about an image, for the next process that asks. What comes back is checked by who
 * asks, as what a file says.
 */
export interface KeptFacts {
  /**
   * @param image  bytes of its whole file
   * @param name  of what is asked for, in letters
   * @returns the lists that were kept; `undefined` where there are none
   */
  read(image: Uint8Array, name: string): readonly Float64Array[] | undefined;
  /** Keeps lists, where that can be done. */
  write(image: Uint8Array, name: string, lists: readonly Float64Array[]): void;
}

/** @returns whether numbers stand in order, each once */
export function areAscending(numbers: Float64Array): boolean {
  for (let i = 0; i < numbers.length; i++) {
    if (!Number.isFinite(numbers[i]) || numbers[i] <= (i > 0 ? numbers[i - 1] : -1)) return false;
  }
  return true;
}
