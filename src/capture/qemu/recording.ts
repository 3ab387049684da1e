import type { Address } from '../../base/address.ts';
import { PtEncoder } from '../../pt/encoder.ts';
import { BlockEncoder, type BlockEnd, TranslationTable } from './block-encoder.ts';
import { GuestMap } from './guest-map.ts';
import { StartGate } from './start-gate.ts';

export interface ThreadTrace {
  /** Threads are numbered as they start. */
  readonly number: number;
  readonly blocks: number;
  readonly interrupts: number;
  readonly bytes: readonly Uint8Array[];
}

export interface RecordingOptions {
  readonly bitness: 32 | 64;
  readonly compressReturns: boolean;
  /** Basic blocks a thread; recording ends when the first thread reaches it. */
  readonly maxBlocks: number;
  /** Symbol or module before which nothing is recorded. */
  readonly skipUntil?: string;
  /** Each basic block of a thread, in order; threads are numbered as they start. */
  readonly onBlock?: (address: Address, thread: number) => void;
  /** Takes the packets of a thread as they are made; they are not kept here then. */
  readonly onTrace?: (bytes: Uint8Array, thread: number) => void;
  /**
   * Code was translated; told before it runs.
   *
   * @returns whether its bytes must be kept: those of code that is as in its file need not
   */
  readonly onTranslate?: (start: Address, bytes: Uint8Array) => boolean;
  /** A thread has ended: no more packets of it come. */
  readonly onThreadEnd?: (thread: number) => void;
}

/** Packets that blocks were encoded to. */
export interface EncodedBlocks {
  readonly bytes: Uint8Array;
  readonly blocks: number;
  readonly interrupts: number;
}

interface Thread {
  readonly number: number;
  readonly encoder: BlockEncoder;
  readonly packets: PtEncoder;
  readonly bytes: Uint8Array[];
  readonly keep: (bytes: Uint8Array) => void;
  /** Of packets that were encoded elsewhere. */
  blocks: number;
  interrupts: number;
}

/** What a recording knows when its process forks. */
export interface RecordingState {
  readonly map: GuestMap;
  readonly table: TranslationTable;
  readonly handlers: ReadonlySet<Address>;
  /** Blocks that were translated before. */
  readonly known: number;
}

/** What a backend sees of a running program: its translation blocks in order, and its memory map. */
export class Recording {
  readonly map: GuestMap;
  readonly table: TranslationTable;
  /** Addresses of signal handlers. */
  readonly handlers: Set<Address>;
  forks = 0;
  /** Program that the recorded one turned into. */
  replacedBy: string | undefined;
  readonly #options: RecordingOptions;
  readonly #threads: Map<number, Thread> = new Map();
  /** What is left of threads that have ended: a program may start them without end. */
  readonly #ended: ThreadTrace[] = [];
  #endedBlocks = 0;
  #started = 0;
  /** `undefined` once recording has begun. */
  #gate: StartGate | undefined;
  readonly #openers: Set<number> = new Set();

  /** @param parent  whose fork the recorded process is */
  constructor(options: RecordingOptions, parent?: RecordingState) {
    this.#options = options;
    this.map = parent?.map.copy() ?? new GuestMap();
    this.table = parent?.table.copy(parent.known) ?? new TranslationTable(options.bitness);
    this.handlers = new Set(parent?.handlers);
    const { skipUntil } = options;
    this.#gate = skipUntil === undefined ? undefined : new StartGate(skipUntil, this.map);
  }

  /** How blocks are encoded. */
  get encoding(): Pick<RecordingOptions, 'bitness' | 'compressReturns' | 'maxBlocks'> {
    return this.#options;
  }

  /** Whether the limit of blocks is reached. */
  get isFull(): boolean {
    const first = this.#threads.get(0);
    return first !== undefined && blocksOf(first) >= this.#options.maxBlocks;
  }

  /**
   * Tells of a translation block.
   *
   * @param last  start of its last instruction
   * @param bytes  kept
   * @param end  how it ends, where that is known
   */
  translate(id: number, start: Address, last: Address, bytes: Uint8Array, end?: BlockEnd): void {
    this.table.add(id, start, last, bytes, end);
    if (this.#options.onTranslate?.(start, bytes) === false) this.table.forgetBytes(id);
    if (this.#gate?.opensAt(start)) this.#openers.add(id);
  }

  /** Translation blocks that a CPU executed. */
  execute(cpu: number, executed: Uint32Array): void {
    let ids = executed;
    if (this.#gate !== undefined) {
      const begin = ids.findIndex((id) => this.#openers.has(id));
      if (begin < 0) return;
      ids = ids.subarray(begin);
      this.#gate = undefined;
    }
    this.#threadOf(cpu).encoder.add(ids, this.#options.maxBlocks);
  }

  /** Whole packets of what a CPU executed, which were encoded where it ran; kept. */
  take(cpu: number, { bytes, blocks, interrupts }: EncodedBlocks): void {
    const thread = this.#threadOf(cpu);
    if (bytes.length > 0) thread.keep(bytes);
    thread.blocks += blocks;
    thread.interrupts += interrupts;
  }

  #threadOf(cpu: number): Thread {
    let thread = this.#threads.get(cpu);
    if (thread === undefined) {
      thread = this.#start();
      this.#threads.set(cpu, thread);
    }
    return thread;
  }

  /** The thread of a CPU has ended; the next one may get the same CPU. */
  endThread(cpu: number): void {
    const ended = this.#threads.get(cpu);
    if (ended === undefined || cpu === 0) return;
    ended.encoder.finish(false);
    this.#ended.push(traceOf(ended));
    this.#endedBlocks += blocksOf(ended);
    this.#threads.delete(cpu);
    this.#options.onThreadEnd?.(ended.number);
  }

  /** Basic blocks so far, of all threads. */
  get blocks(): number {
    let sum = this.#endedBlocks;
    for (const thread of this.#threads.values()) sum += blocksOf(thread);
    return sum;
  }

  /** Gives the packets that are complete to `onTrace`. */
  drain(): void {
    for (const { packets } of this.#threads.values()) packets.drain();
  }

  /** Whether code between two addresses has been translated. */
  hasCodeIn(start: Address, end: Address): boolean {
    return this.table.start.some((at) => at >= start && at < end);
  }

  /**
   * @param died  whether a signal ended the program, and with it the threads that still ran
   * @returns the traces, the first thread first
   */
  finish(died: boolean): ThreadTrace[] {
    const running = [...this.#threads].sort(([a], [b]) => a - b).map(([, thread]) => thread);
    for (const { encoder } of running) encoder.finish(died);
    const [first, ...others] = running.map(traceOf);
    return first === undefined ? this.#ended : [first, ...this.#ended, ...others];
  }

  #start(): Thread {
    const number = this.#started++;
    const bytes: Uint8Array[] = [];
    const { onBlock, onTrace } = this.#options;
    const keep = (part: Uint8Array): void =>
      onTrace === undefined ? void bytes.push(part) : onTrace(part, number);
    const packets = new PtEncoder(keep, this.#options);
    const tell = onBlock === undefined ? undefined : (at: Address): void => onBlock(at, number);
    return {
      number,
      encoder: new BlockEncoder(this.table, packets, this.handlers, tell),
      ...{ packets, bytes, keep, blocks: 0, interrupts: 0 },
    };
  }
}

function traceOf(thread: Thread): ThreadTrace {
  const { number, encoder, bytes, interrupts } = thread;
  return {
    ...{ number, bytes, blocks: blocksOf(thread) },
    interrupts: interrupts + encoder.interrupts,
  };
}

function blocksOf({ encoder, blocks }: Thread): number {
  return encoder.blocks + blocks;
}
