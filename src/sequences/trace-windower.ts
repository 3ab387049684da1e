import { enlarged } from '../base/bytes/typed-array.ts';
import type { BlockBatch, BlockTable } from '../flow/blocks.ts';
import type { Mark } from '../flow/mark.ts';
import { type SymbolTable, TraceSymbols, threadStart } from './symbol-table.ts';
import { hashOfSymbol, hashWindow, rollingFactor, type WindowCounter } from './window-counter.ts';

/** Blocks behind a window before the history is moved to the front. */
const historyRoom = 4096;
/** Of what grows with a trace: a log of calls may be short, and there are thousands. */
const firstRoom = 1024;

/** What one trace added, in trace order. */
export interface TraceWindows {
  /** Distinct window of each predicted transfer. */
  readonly occurrences: Int32Array;
  /** Block index (blocks only, from 0) of the block that made each transfer. */
  readonly positions: Int32Array;
  readonly blocks: number;
  /** Blocks whose symbol is at or above `knownSymbols`. */
  readonly unknownBlocks: number;
  /** Where those are: pairs of block index and run length. */
  readonly unknownRuns: Int32Array;
}

/**
 * Cuts the blocks of one trace into windows and counts them.
 *
 * A window is the last N blocks up to and including one that ends in a filtered transfer; its
 * target is the block that came next. Windows never run across a gap: after one, N blocks have to
 * pass first, as at the start of a trace. An asynchronous transfer between a block and the next
 * means that the block's own transfer was not what led there, so that pair is not counted.
 */
export class TraceWindower {
  readonly #counter: WindowCounter;
  readonly #symbols: TraceSymbols;
  readonly #blocks: BlockTable;
  readonly #marks: readonly Mark[];
  readonly #filter: Uint8Array;
  readonly #n: number;
  /** The factor that the oldest symbol's hash has gathered. */
  readonly #oldestFactor: number;
  /** The last symbols; the window ends at `#filled`. */
  readonly #history: Int32Array;
  #filled = 0;
  /** Blocks since the start or the last gap, at most N. */
  #known = 0;
  #hash = 0;
  /** The symbol that stands before the first block, -1 when there is none. */
  readonly #start: number = -1;
  /** Of a window full of it. */
  readonly #startHash: number = 0;
  #threads = 0;
  /** The last block ended in a filtered transfer and its window is whole. */
  #isDue = false;
  #position = -1;
  /** How often each block ran, by block id. */
  #executed: Float64Array<ArrayBuffer> = new Float64Array(firstRoom);
  readonly #knownSymbols: number;
  #unknownBlocks = 0;
  readonly #unknownRuns: number[] = [];
  readonly #isRecording: boolean;
  #occurrences: Int32Array<ArrayBuffer>;
  #positions: Int32Array<ArrayBuffer>;
  #occurrenceCount = 0;

  constructor(options: {
    readonly counter: WindowCounter;
    readonly table: SymbolTable;
    readonly blocks: BlockTable;
    readonly marks: readonly Mark[];
    readonly filter: Uint8Array;
    /** Keep which window came where. */
    readonly record: boolean;
    /** Symbols below this are known; nothing counts as unknown without it. */
    readonly knownSymbols?: number;
    /**
     * Threads come from their very start, so that it is known what was before it: nothing. Windows
     * reach back there, filled up with a symbol of its own. Without it they have to be whole.
     */
    readonly fromStart?: boolean;
  }) {
    this.#counter = options.counter;
    this.#blocks = options.blocks;
    this.#marks = options.marks;
    this.#filter = options.filter;
    this.#symbols = new TraceSymbols(options.table, options.blocks);
    this.#n = options.counter.windowLength;
    let factor = 1;
    for (let i = 0; i < this.#n; i++) factor = Math.imul(factor, rollingFactor);
    this.#oldestFactor = factor;
    if (options.fromStart) {
      const module = options.table.internModule(threadStart, threadStart);
      this.#start = options.table.intern(module, 0);
      this.#startHash = hashWindow(new Int32Array(this.#n).fill(this.#start), 0, this.#n);
    }
    // Windows slide through a longer array and are moved to its front when they reach its end.
    this.#history = new Int32Array(this.#n + historyRoom);
    this.#knownSymbols = options.knownSymbols ?? Number.POSITIVE_INFINITY;
    this.#isRecording = options.record;
    const room = options.record ? firstRoom : 0;
    this.#occurrences = new Int32Array(room);
    this.#positions = new Int32Array(room);
  }

  /** Adds how often each block ran to `counts`, by symbol. @returns `counts`, or a longer copy */
  addSymbolCounts(
    counts: Float64Array<ArrayBuffer>,
    table: SymbolTable,
  ): Float64Array<ArrayBuffer> {
    let sums = counts;
    if (sums.length < table.length) {
      sums = new Float64Array(table.length * 2);
      sums.set(counts);
    }
    const { symbols, length } = this.#symbols;
    for (let block = 0; block < length; block++) sums[symbols[block]] += this.#executed[block];
    if (this.#start >= 0) sums[this.#start] += this.#threads;
    return sums;
  }

  add({ entries, length }: BlockBatch): void {
    this.#symbols.extend();
    if (this.#start >= 0 && this.#threads === 0) {
      this.#filled = this.#startThread();
      this.#known = this.#n;
      this.#hash = this.#startHash;
    }
    if (this.#executed.length < this.#symbols.length) {
      this.#executed = enlarged(this.#executed, this.#symbols.symbols.length);
    }
    const executed = this.#executed;
    const knownSymbols = this.#knownSymbols;
    const symbols = this.#symbols.symbols;
    const kind = this.#blocks.kind;
    const filter = this.#filter;
    const history = this.#history;
    const n = this.#n;
    let { filled, known, hash, isDue, position } = {
      filled: this.#filled,
      known: this.#known,
      hash: this.#hash,
      isDue: this.#isDue,
      position: this.#position,
    };
    for (let i = 0; i < length; i++) {
      const block = entries[i];
      if (block < 0) {
        isDue = false;
        const { kind: mark } = this.#marks[~block];
        if (mark === 'async') continue;
        known = 0;
        hash = 0;
        if (mark === 'thread' && this.#start >= 0) {
          filled = this.#startThread();
          known = n;
          hash = this.#startHash;
        }
        continue;
      }
      const symbol = symbols[block];
      if (isDue) {
        const index = this.#counter.add(history, filled - n, hash, symbol);
        if (this.#isRecording) this.#record(index, position);
      }
      position++;
      if (filled === history.length) {
        history.copyWithin(0, filled - n, filled);
        filled = n;
      }
      executed[block]++;
      if (symbol >= knownSymbols) this.#unknown(position);
      hash = (Math.imul(hash, rollingFactor) + hashOfSymbol(symbol)) | 0;
      if (known >= n) {
        const oldest = hashOfSymbol(history[filled - n]);
        hash = (hash - Math.imul(oldest, this.#oldestFactor)) | 0;
      } else {
        known++;
      }
      history[filled++] = symbol;
      isDue = known === n && filter[kind[block]] === 1;
    }
    this.#filled = filled;
    this.#known = known;
    this.#hash = hash;
    this.#isDue = isDue;
    this.#position = position;
  }

  /** @returns where the history ends now */
  #startThread(): number {
    this.#threads++;
    this.#history.fill(this.#start, 0, this.#n);
    return this.#n;
  }

  finish(): TraceWindows {
    return {
      occurrences: this.#occurrences.slice(0, this.#occurrenceCount),
      positions: this.#positions.slice(0, this.#occurrenceCount),
      blocks: this.#position + 1,
      unknownBlocks: this.#unknownBlocks,
      unknownRuns: Int32Array.from(this.#unknownRuns),
    };
  }

  #unknown(position: number): void {
    this.#unknownBlocks++;
    const runs = this.#unknownRuns;
    const last = runs.length - 2;
    if (last >= 0 && runs[last] + runs[last + 1] === position) runs[last + 1]++;
    else runs.push(position, 1);
  }

  #record(index: number, position: number): void {
    if (this.#occurrenceCount === this.#occurrences.length) {
      const room = this.#occurrences.length * 2;
      this.#occurrences = enlarged(this.#occurrences, room);
      this.#positions = enlarged(this.#positions, room);
    }
    this.#occurrences[this.#occurrenceCount] = index;
    this.#positions[this.#occurrenceCount++] = position;
  }
}
