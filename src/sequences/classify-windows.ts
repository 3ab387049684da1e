import { hashWindow, WindowCounter } from './window-counter.ts';
import type { WindowSet } from './windows.ts';

/** Windows in classes, and which of them each window in symbols became. */
export interface ClassifiedWindows {
  readonly windows: WindowSet;
  /** Index into `windows` by index into the counter. */
  readonly indexOf: Int32Array;
}

/**
 * Turns counted windows of symbols into windows of classes. Windows that the vocabulary cannot tell
 * apart become one.
 *
 * @param inputClass, outputClass  class by symbol
 */
export function classifyWindows(
  counter: WindowCounter,
  inputClass: Int32Array,
  outputClass: Int32Array,
): ClassifiedWindows {
  const n = counter.windowLength;
  const merged = new WindowCounter(n);
  const indexOf = new Int32Array(counter.length);
  const row = new Int32Array(n);
  for (let index = 0; index < counter.length; index++) {
    const from = index * n;
    for (let i = 0; i < n; i++) row[i] = inputClass[counter.symbols[from + i]];
    const target = outputClass[counter.targets[index]];
    indexOf[index] = merged.add(row, 0, hashWindow(row, 0, n), target, counter.counts[index]);
  }
  return { windows: windowsOf(merged), indexOf };
}

/** A view of what a counter of classes holds. */
export function windowsOf(counter: WindowCounter): WindowSet {
  const { length, windowLength } = counter;
  return {
    length,
    windowLength,
    symbols: counter.symbols.subarray(0, length * windowLength),
    targets: counter.targets.subarray(0, length),
    counts: counter.counts.subarray(0, length),
  };
}
