import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { WindowChunk } from './window-chunk.ts';
import type { WindowCounter } from './window-counter.ts';

const rowsPerBlock = 4096;

/** A place in a sorted list of windows. */
export interface Cursor {
  /** The window, then its target. */
  readonly row: Int32Array;
  readonly count: number;
  /** @returns whether there is a row; has to be called before the first */
  advance(): boolean;
  close(): void;
}

/**
 * Distinct windows on disk, sorted by their symbols, oldest first, then by target. A row is the
 * window, its target, and its count as a double, 32-bit words in this machine's byte order.
 */
export class SortedRun {
  readonly path: string;
  readonly rows: number;
  readonly #windowLength: number;
  /** CRC-32 of the file: who wrote it reads it, so it need not be in it. */
  readonly #sum: number;

  private constructor(path: string, rows: number, windowLength: number, sum: number) {
    this.path = path;
    this.rows = rows;
    this.#sum = sum;
    this.#windowLength = windowLength;
  }

  /** @param chunks  sorted windows, each once. Leaves no file behind when writing fails. */
  static write(path: string, chunks: Iterable<WindowChunk>, windowLength: number): SortedRun {
    const n = windowLength;
    const width = n + 3;
    const block = new Int32Array(rowsPerBlock * width);
    const count = new Float64Array(1);
    const countWords = new Int32Array(count.buffer);
    let rows = 0;
    let sum = 0;
    const file = openSync(path, 'w');
    try {
      for (const { length, symbols, targets, counts } of chunks) {
        for (let from = 0; from < length; from += rowsPerBlock) {
          const size = Math.min(rowsPerBlock, length - from);
          for (let i = 0; i < size; i++) {
            const index = from + i;
            const at = i * width;
            block.set(symbols.subarray(index * n, index * n + n), at);
            block[at + n] = targets[index];
            count[0] = counts[index];
            block.set(countWords, at + n + 1);
          }
          const bytes = new Uint8Array(block.buffer, 0, size * width * 4);
          writeAll(file, bytes);
          sum = crc32(bytes, sum);
          rows += size;
        }
      }
    } catch (error) {
      closeSync(file);
      rmSync(path, { force: true });
      throw error;
    }
    closeSync(file);
    return new SortedRun(path, rows, windowLength, sum);
  }

  /** @returns a cursor whose `advance` throws an Error where the file is not what was written */
  open(): Cursor {
    const width = this.#windowLength + 3;
    const { rows } = this;
    const expected = this.#sum;
    let sum = 0;
    const file = openSync(this.path, 'r');
    const block = new Int32Array(rowsPerBlock * width);
    const bytes = new Uint8Array(block.buffer);
    const countWords = new Int32Array(2);
    const count = new Float64Array(countWords.buffer);
    let next = 0;
    const cursor = {
      row: block.subarray(0, width - 2),
      count: 0,
      advance: () => {
        if (next === rows) return false;
        const inBlock = next++ % rowsPerBlock;
        if (inBlock === 0) {
          const size = Math.min(rowsPerBlock, rows - next + 1) * width * 4;
          readAll(file, bytes, size);
          sum = crc32(bytes.subarray(0, size), sum);
          if (rows - next < rowsPerBlock && sum !== expected) {
            throw new Error('a spilled run is not what was written: the checksum differs');
          }
        }
        const at = inBlock * width;
        cursor.row = block.subarray(at, at + width - 2);
        countWords[0] = block[at + width - 2];
        countWords[1] = block[at + width - 1];
        cursor.count = count[0];
        return true;
      },
      close: () => closeSync(file),
    };
    return cursor;
  }

  remove(): void {
    rmSync(this.path, { force: true });
  }
}

/** The windows of a counter, sorted. */
export function counterCursor(counter: WindowCounter): Cursor {
  const { symbols, targets, counts, windowLength: n } = counter;
  const order = Int32Array.from({ length: counter.length }, (_, index) => index).sort((a, b) => {
    for (let i = 0; i < n; i++) {
      const difference = symbols[a * n + i] - symbols[b * n + i];
      if (difference !== 0) return difference;
    }
    return targets[a] - targets[b];
  });
  let next = 0;
  const cursor = {
    row: new Int32Array(n + 1),
    count: 0,
    advance: () => {
      if (next === order.length) return false;
      const index = order[next++];
      cursor.row.set(symbols.subarray(index * n, index * n + n));
      cursor.row[n] = targets[index];
      cursor.count = counts[index];
      return true;
    },
    close: () => {},
  };
  return cursor;
}

/**
 * Merges sorted lists; equal windows become one, their counts added. Looks at every list for each
 * row, so it suits tens of lists, not thousands. A chunk's arrays are reused.
 */
export function* mergeCursors(
  cursors: readonly Cursor[],
  windowLength: number,
): Generator<WindowChunk> {
  const n = windowLength;
  const symbols = new Int32Array(rowsPerBlock * n);
  const targets = new Int32Array(rowsPerBlock);
  const counts = new Float64Array(rowsPerBlock);
  let length = 0;
  let live = cursors.filter((cursor) => cursor.advance());
  const least = new Int32Array(n + 1);
  while (live.length > 0) {
    let first = live[0];
    for (const cursor of live) if (compare(cursor.row, first.row) < 0) first = cursor;
    // A copy, because cursors move on.
    least.set(first.row);
    let count = 0;
    const ended: Cursor[] = [];
    for (const cursor of live) {
      if (compare(cursor.row, least) !== 0) continue;
      count += cursor.count;
      if (!cursor.advance()) ended.push(cursor);
    }
    if (ended.length > 0) live = live.filter((cursor) => !ended.includes(cursor));
    symbols.set(least.subarray(0, n), length * n);
    targets[length] = least[n];
    counts[length++] = count;
    if (length === rowsPerBlock) {
      yield { length, symbols, targets, counts };
      length = 0;
    }
  }
  if (length > 0) yield { length, symbols, targets, counts };
}

function compare(a: Int32Array, b: Int32Array): number {
  for (let i = 0; i < a.length; i++) {
    const difference = a[i] - b[i];
    if (difference !== 0) return difference;
  }
  return 0;
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, bytes.length - done);
  }
}

function readAll(file: number, bytes: Uint8Array, wanted: number): void {
  for (let got = 0; got < wanted; ) {
    const read = readSync(file, bytes, got, wanted - got, null);
    if (read === 0) throw new Error('a spilled run is shorter than it was written');
    got += read;
  }
}
