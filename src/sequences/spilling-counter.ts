import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { assert, messageOf, UserError } from '../base/errors.ts';
import { type Cursor, counterCursor, mergeCursors, SortedRun } from './sorted-run.ts';
import type { WindowChunk, WindowSource } from './window-chunk.ts';
import { hashWindow, WindowCounter } from './window-counter.ts';

export interface SpillOptions {
  readonly windowLength: number;
  /** Bytes the counted windows may take before they are written to disk. */
  readonly memoryLimit: number;
  /** Distinct windows that may be held before they are written to disk. */
  readonly mostWindows: number;
  /** Folder for runs, made at the first spill and removed by `dispose`; what lies there is lost. */
  readonly directory: string;
}

/** How often it is looked whether memory suffices. */
const rowsBetweenLooks = 1024;

/** Runs that are merged into one when there are more. */
const mostRuns = 24;

/**
 * Counts the distinct windows of more traces than memory holds, exactly: past a limit they are
 * written to disk as a sorted run, and reading merges the runs.
 *
 * Windows of a trace are staged until it is known that the trace could be read whole. Needs the limit
 * plus what is staged at once; to write, 4 bytes a row more; to read, one block of 4,096 rows a run.
 */
export class SpillingCounter implements WindowSource {
  readonly #options: SpillOptions;
  #settled: WindowCounter;
  #staged: WindowCounter;
  #runs: SortedRun[] = [];
  #stagedRuns: SortedRun[] = [];
  #nextRun = 0;

  constructor(options: SpillOptions) {
    this.#options = options;
    this.#settled = new WindowCounter(options.windowLength);
    this.#staged = new WindowCounter(options.windowLength);
  }

  get windowLength(): number {
    return this.#options.windowLength;
  }

  /** Runs on disk. */
  get runs(): number {
    return this.#runs.length;
  }

  /** Windows in memory and in runs: distinct ones at most. */
  get rows(): number {
    return this.#runs.reduce((sum, run) => sum + run.rows, this.#settled.length);
  }

  /**
   * Adds windows of a trace under way.
   *
   * @param symbolOf  symbol here for each symbol there; the same when left out
   * @throws UserError `spill-failed`
   */
  stage({ length, symbols, targets, counts }: WindowChunk, symbolOf?: Int32Array): void {
    const n = this.windowLength;
    const row = new Int32Array(n);
    for (let index = 0; index < length; index++) {
      const from = index * n;
      for (let i = 0; i < n; i++) {
        const symbol = symbols[from + i];
        row[i] = symbolOf === undefined ? symbol : symbolOf[symbol];
      }
      const target = symbolOf === undefined ? targets[index] : symbolOf[targets[index]];
      this.#staged.add(row, 0, hashWindow(row, 0, n), target, counts[index]);
      if (index % rowsBetweenLooks === 0) this.#relieve();
    }
    this.#relieve();
  }

  /** Keeps what was staged. @throws UserError `spill-failed` */
  settle(): void {
    this.#runs.push(...this.#stagedRuns);
    this.#stagedRuns = [];
    this.#settled.addAll(this.#staged);
    this.#staged = new WindowCounter(this.windowLength);
    this.#relieve();
    if (this.#runs.length > mostRuns) this.#compact();
  }

  /** Forgets what was staged. */
  discard(): void {
    for (const run of this.#stagedRuns) run.remove();
    this.#stagedRuns = [];
    this.#staged = new WindowCounter(this.windowLength);
  }

  /**
   * Every distinct window that is settled, in order of its symbols, oldest first, then its target: the
   * same order whether it was spilled or not.
   *
   * @throws UserError `spill-failed`
   */
  *chunks(): Generator<WindowChunk> {
    yield* this.#merged([counterCursor(this.#settled)]);
  }

  /** Removes the runs; the counter is empty afterwards. */
  dispose(): void {
    this.discard();
    this.#runs = [];
    this.#settled = new WindowCounter(this.windowLength);
    if (this.#nextRun > 0) rmSync(this.#options.directory, { recursive: true, force: true });
    this.#nextRun = 0;
  }

  /** Writes the larger part of what is in memory to disk when that is too much. */
  #relieve(): void {
    const { memoryLimit, mostWindows } = this.#options;
    const held = this.#settled.length + this.#staged.length;
    const memory = this.#settled.memory + this.#staged.memory;
    if (held === 0 || (held <= mostWindows && memory <= memoryLimit)) return;
    const spill = (counter: WindowCounter): SortedRun =>
      this.#write(mergeCursors([counterCursor(counter)], this.windowLength));
    if (this.#settled.length >= this.#staged.length) {
      this.#runs.push(spill(this.#settled));
      this.#settled = new WindowCounter(this.windowLength);
    } else {
      this.#stagedRuns.push(spill(this.#staged));
      this.#staged = new WindowCounter(this.windowLength);
    }
  }

  /** Merges all runs into one. */
  #compact(): void {
    const before = this.#runs;
    const merged = this.#write(this.#merged([]));
    this.#runs = [merged];
    for (const run of before) run.remove();
  }

  #write(chunks: Iterable<WindowChunk>): SortedRun {
    const { directory } = this.#options;
    return this.#guard(() => {
      if (this.#nextRun === 0) {
        rmSync(directory, { recursive: true, force: true });
        mkdirSync(directory);
      }
      const path = join(directory, `run-${this.#nextRun++}`);
      return SortedRun.write(path, chunks, this.windowLength);
    });
  }

  /** Windows of all runs and of other cursors. */
  *#merged(others: readonly Cursor[]): Generator<WindowChunk> {
    assert(this.#stagedRuns.length === 0, 'windows are read while a trace is staged');
    const cursors: Cursor[] = [...others];
    try {
      for (const run of this.#runs) cursors.push(this.#guard(() => run.open()));
      const merging = mergeCursors(cursors, this.windowLength);
      for (;;) {
        const next = this.#guard(() => merging.next());
        if (next.done) return;
        yield next.value;
      }
    } finally {
      for (const cursor of cursors) cursor.close();
    }
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      if (cause instanceof UserError) throw cause;
      throw new UserError('spill-failed', `windows cannot be kept here: ${messageOf(cause)}`, {
        category: 'runtime',
        path: this.#options.directory,
        cause,
      });
    }
  }
}
