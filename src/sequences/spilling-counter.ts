import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { assert, UserError } from '../base/errors.ts';
import { messageOf } from '../base/files.ts';
import { WindowCounter } from './window-counter.ts';

/** Part of the distinct windows, sorted; laid out as in `WindowSet`. */
export interface WindowChunk {
  readonly length: number;
  readonly symbols: Int32Array;
  readonly targets: Int32Array;
  readonly counts: Float64Array;
}

export interface SpillOptions {
  readonly windowLength: number;
  /** Bytes the counted windows may take before they are written to disk. */
  readonly memoryLimit: number;
  /** An existing folder; a folder of its own is made in it at the first spill. */
  readonly directory: string;
}

const rowsPerBlock = 4096;

/**
 * Counts the distinct windows of more traces than memory holds, exactly: past the limit they are
 * written to disk as a sorted run, and reading merges the runs.
 *
 * Needs `memoryLimit` plus one trace's windows plus 16 bytes a row for sorting; reading needs one
 * block of 4,096 rows a run and one for the chunk. Merging looks at every run for each row, so it
 * suits tens of runs, not thousands.
 */
export class SpillingCounter {
  readonly #options: SpillOptions;
  #counter: WindowCounter;
  #folder: string | undefined;
  readonly #runs: { readonly path: string; readonly rows: number }[] = [];

  constructor(options: SpillOptions) {
    this.#options = options;
    this.#counter = new WindowCounter(options.windowLength);
  }

  /** Runs on disk. */
  get runs(): number {
    return this.#runs.length;
  }

  /** Adds all that another counter holds. @returns its occurrences. @throws UserError `spill-failed` */
  addAll(other: WindowCounter): number {
    assert(other.windowLength === this.#options.windowLength, 'windows of one length');
    const occurrences = this.#counter.addAll(other);
    if (this.#counter.memory > this.#options.memoryLimit && this.#counter.length > 0) this.#spill();
    return occurrences;
  }

  /**
   * Every distinct window once, in order of its symbols, oldest first, then its target. A chunk's
   * arrays are reused: copy what must outlive the next one. Can be read again.
   *
   * @throws UserError `spill-failed`
   */
  *chunks(): Generator<WindowChunk> {
    const n = this.#options.windowLength;
    const files: number[] = [];
    try {
      const cursors: Cursor[] = [memoryCursor(this.#counter)];
      for (const run of this.#runs) {
        const file = this.#guard(() => openSync(run.path, 'r'));
        files.push(file);
        cursors.push(this.#fileCursor(file, run.rows));
      }
      let live = cursors.filter((cursor) => cursor.advance());
      const symbols = new Int32Array(rowsPerBlock * n);
      const targets = new Int32Array(rowsPerBlock);
      const counts = new Float64Array(rowsPerBlock);
      let length = 0;
      while (live.length > 0) {
        let least = live[0];
        for (const cursor of live) if (compare(cursor, least) < 0) least = cursor;
        const at = length * n;
        for (let i = 0; i < n; i++) symbols[at + i] = least.row[i];
        targets[length] = least.row[n];
        let count = 0;
        // `least` is compared with the copy, because it moves on itself.
        const copy = { row: least.row.slice() };
        let ended = false;
        for (const cursor of live) {
          if (compare(cursor, copy) !== 0) continue;
          count += cursor.count;
          if (!cursor.advance()) ended = true;
        }
        if (ended) live = live.filter((cursor) => !cursor.done);
        counts[length++] = count;
        if (length === rowsPerBlock) {
          yield { length, symbols, targets, counts };
          length = 0;
        }
      }
      if (length > 0) yield { length, symbols, targets, counts };
    } finally {
      for (const file of files) closeSync(file);
    }
  }

  /** Removes the runs; the counter is empty afterwards. */
  dispose(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = undefined;
    this.#runs.length = 0;
    this.#counter = new WindowCounter(this.#options.windowLength);
  }

  #spill(): void {
    const n = this.#options.windowLength;
    const counter = this.#counter;
    const width = n + 3;
    const block = new Int32Array(rowsPerBlock * width);
    const count = new Float64Array(1);
    const countWords = new Int32Array(count.buffer);
    this.#guard(() => {
      this.#folder ??= mkdtempSync(join(this.#options.directory, 'windows-'));
      const path = join(this.#folder, `run-${this.#runs.length}`);
      const file = openSync(path, 'w');
      try {
        let rows = 0;
        const flush = (): void => {
          const bytes = new Uint8Array(block.buffer, 0, rows * width * 4);
          for (let done = 0; done < bytes.length; ) {
            done += writeSync(file, bytes, done, bytes.length - done);
          }
          rows = 0;
        };
        for (const index of sortedOrder(counter)) {
          const at = rows * width;
          block.set(counter.symbols.subarray(index * n, index * n + n), at);
          block[at + n] = counter.targets[index];
          count[0] = counter.counts[index];
          block.set(countWords, at + n + 1);
          if (++rows === rowsPerBlock) flush();
        }
        flush();
      } finally {
        closeSync(file);
      }
      this.#runs.push({ path, rows: counter.length });
    });
    this.#counter = new WindowCounter(n);
  }

  #fileCursor(file: number, rows: number): Cursor {
    const width = this.#options.windowLength + 3;
    const block = new Int32Array(rowsPerBlock * width);
    const bytes = new Uint8Array(block.buffer);
    const countWords = new Int32Array(2);
    const count = new Float64Array(countWords.buffer);
    let next = 0;
    const cursor: Cursor = {
      row: block.subarray(0, width - 2),
      count: 0,
      done: false,
      advance: () => {
        if (next === rows) {
          cursor.done = true;
          return false;
        }
        const inBlock = next % rowsPerBlock;
        if (inBlock === 0) {
          const wanted = Math.min(rowsPerBlock, rows - next) * width * 4;
          this.#guard(() => {
            for (let got = 0; got < wanted; ) {
              const read = readSync(file, bytes, got, wanted - got, null);
              if (read === 0) throw new Error('a spilled run is shorter than it was written');
              got += read;
            }
          });
        }
        const at = inBlock * width;
        cursor.row = block.subarray(at, at + width - 2);
        countWords[0] = block[at + width - 2];
        countWords[1] = block[at + width - 1];
        cursor.count = count[0];
        next++;
        return true;
      },
    };
    return cursor;
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      throw new UserError('spill-failed', `windows cannot be kept here: ${messageOf(cause)}`, {
        category: 'runtime',
        path: this.#options.directory,
        cause,
      });
    }
  }
}

/** A place in one sorted run. `row` is the window, then its target. */
interface Cursor {
  row: Int32Array;
  count: number;
  done: boolean;
  /** @returns whether there is a row; false marks the cursor done */
  advance(): boolean;
}

function memoryCursor(counter: WindowCounter): Cursor {
  const n = counter.windowLength;
  const order = sortedOrder(counter);
  let next = 0;
  const cursor: Cursor = {
    row: new Int32Array(n + 1),
    count: 0,
    done: false,
    advance: () => {
      if (next === order.length) {
        cursor.done = true;
        return false;
      }
      const index = order[next++];
      cursor.row.set(counter.symbols.subarray(index * n, index * n + n));
      cursor.row[n] = counter.targets[index];
      cursor.count = counter.counts[index];
      return true;
    },
  };
  return cursor;
}

function compare(a: { readonly row: Int32Array }, b: { readonly row: Int32Array }): number {
  for (let i = 0; i < a.row.length; i++) {
    const difference = a.row[i] - b.row[i];
    if (difference !== 0) return difference;
  }
  return 0;
}

function sortedOrder(counter: WindowCounter): Int32Array {
  const { symbols, targets, windowLength: n } = counter;
  const order = Int32Array.from({ length: counter.length }, (_, index) => index);
  return order.sort((a, b) => {
    for (let i = 0; i < n; i++) {
      const difference = symbols[a * n + i] - symbols[b * n + i];
      if (difference !== 0) return difference;
    }
    return targets[a] - targets[b];
  });
}
