import { type Address, formatAddress } from '../base/address.ts';
import type { BlockBatch, BlockTable } from '../flow/blocks.ts';
import { CodeCache } from '../flow/code-cache.ts';
import type { Mark } from '../flow/mark.ts';
import { pullBatches } from '../flow/pull.ts';
import type { RunContext } from '../model/first-layer.ts';
import type { PlaceNames } from '../names/place-names.ts';
import { lastInstructionOf } from '../trace/block-text.ts';
import { type TransferName, transferNames } from '../x86/transfer.ts';
import { type NamedTrace, TraceOpener, type TraceReading } from './samples/opened-traces.ts';

/** One executed block. */
export interface TraceBlock {
  /** Thread of the program: number of its trace in the sample. */
  readonly thread: number;
  /** Blocks before it in the trace. */
  readonly index: number;
  readonly address: string;
  /** `libc.so.6!malloc+0x1c` */
  readonly place: string;
  /** How it ends. */
  readonly transfer: TransferName;
  /** Text of its last instruction, where its code is at hand. */
  readonly instruction: string | undefined;
}

/** What is known between two blocks, such as a gap: before the block with this index. */
export interface TraceMark {
  readonly thread: number;
  readonly index: number;
  readonly mark: Mark;
}

export type TraceLine = TraceBlock | TraceMark;

/** Reads the blocks of a sample in order, as its reader asks for them. @throws UserError */
export async function* readBlocks(
  sample: string,
  reading: TraceReading,
  context: RunContext,
): AsyncGenerator<TraceLine, void> {
  for await (const lines of readBatches(sample, reading, context)) yield* lines;
}

/** Reads the blocks of a sample in order. @param visit  false ends the reading. @throws UserError */
export async function listBlocks(
  options: TraceReading & { readonly sample: string },
  context: RunContext,
  visit: (line: TraceLine) => boolean,
): Promise<void> {
  for await (const lines of readBatches(options.sample, options, context)) {
    for (const line of lines) if (!visit(line)) return;
  }
}

/** Lines come in batches, because to wait for each costs more than to read it. */
async function* readBatches(
  sample: string,
  reading: TraceReading,
  context: RunContext,
): AsyncGenerator<Iterable<TraceLine>, void> {
  const codeCache = new CodeCache();
  try {
    const traces = await new TraceOpener(reading, codeCache).openNamed(sample);
    for (const [thread, trace] of traces.entries()) {
      const lines = new LinesOfTrace(trace, thread);
      for await (const batch of pullBatches(trace.source, context.signal)) yield lines.of(batch);
    }
  } finally {
    codeCache.dispose();
  }
}

/** Says what a batch holds; each distinct block is named once. */
class LinesOfTrace {
  readonly #trace: NamedTrace;
  readonly #thread: number;
  readonly #places: (string | undefined)[] = [];
  readonly #instructions: (string | undefined)[] = [];
  /** Of the next block. */
  #index = 0;

  constructor(trace: NamedTrace, thread: number) {
    this.#trace = trace;
    this.#thread = thread;
  }

  *of({ entries, length }: BlockBatch): Generator<TraceLine, void> {
    const { blocks, marks } = this.#trace.source;
    const thread = this.#thread;
    for (let i = 0; i < length; i++) {
      const entry = entries[i];
      if (entry < 0) yield { thread, index: this.#index, mark: marks[~entry] };
      else yield this.#lineOf(blocks, entry);
    }
  }

  #lineOf(blocks: BlockTable, block: number): TraceBlock {
    const { names, space } = this.#trace;
    if (this.#places[block] === undefined) {
      this.#places[block] = placeOf(blocks, block, names);
      this.#instructions[block] = lastInstructionOf(blocks, block, space);
    }
    return {
      thread: this.#thread,
      index: this.#index++,
      address: formatAddress(addressOf(blocks, block)),
      place: this.#places[block],
      transfer: transferNames[blocks.kind[block]] ?? 'none',
      instruction: this.#instructions[block],
    };
  }
}

/** @returns where it lies in the process */
export function addressOf(blocks: BlockTable, block: number): Address {
  const module = blocks.module[block];
  return blocks.offset[block] + (module < 0 ? 0 : blocks.modules[module].base);
}

/** `libc.so.6!malloc+0x1c`, or `libc.so.6+0x9a1c0` where nothing names it. */
export function placeOf(blocks: BlockTable, block: number, names: PlaceNames | undefined): string {
  const module = blocks.modules[blocks.module[block]];
  if (module === undefined) return '(no file)';
  const offset = blocks.offset[block];
  return (
    names?.textAt(module.base + offset) ??
    `${module.name || '(unnamed)'}${offset === 0 ? '' : `+0x${offset.toString(16)}`}`
  );
}
