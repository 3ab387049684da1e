import type { WindowChunk, WindowSource } from './window-chunk.ts';
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
  const merged = new WindowCounter(counter.windowLength);
  const indexOf = addClassified(merged, counter, inputClass, outputClass);
  return { windows: windowsOf(merged), indexOf };
}

/** The same for windows that come in parts, without telling which became which. */
export function classifyAll(
  source: WindowSource,
  inputClass: Int32Array,
  outputClass: Int32Array,
): WindowSet {
  const merged = new WindowCounter(source.windowLength);
  for (const chunk of source.chunks()) addClassified(merged, chunk, inputClass, outputClass);
  return windowsOf(merged);
}

/** @returns index into `merged` by index into the chunk */
function addClassified(
  merged: WindowCounter,
  chunk: WindowChunk,
  inputClass: Int32Array,
  outputClass: Int32Array,
): Int32Array {
  const n = merged.windowLength;
  const row = new Int32Array(n);
  const indexOf = new Int32Array(chunk.length);
  for (let index = 0; index < chunk.length; index++) {
    const from = index * n;
    for (let i = 0; i < n; i++) row[i] = inputClass[chunk.symbols[from + i]];
    const target = outputClass[chunk.targets[index]];
    indexOf[index] = merged.add(row, 0, hashWindow(row, 0, n), target, chunk.counts[index]);
  }
  return indexOf;
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
