import type { Address } from '../../base/address.ts';
import type { BlockSink, BlockSource, BlockTable, TraceSummary } from '../../flow/blocks.ts';
import type { Mark } from '../../flow/mark.ts';
import { type CallLog, lostCalls } from './log.ts';
import { callName, callSymbol } from './name.ts';

const batchLength = 4096;
/** More than the largest offset of a call's symbol, which is a checksum of 32 bits. */
const baseStep = 2 ** 32;

/**
 * Gives a log of calls as a block stream: every call is a block, so that all that works on traces
 * works on calls. Threads follow each other, with a mark between them.
 */
export class CallSource implements BlockSource {
  readonly blocks: BlockTable;
  readonly marks: readonly Mark[];
  readonly #threads: CallLog['threads'];

  constructor({ names, threads }: CallLog) {
    this.#threads = threads;
    const symbols = names.map(callSymbol);
    const moduleIndex = new Map<string, number>();
    for (const { module } of symbols) {
      if (!moduleIndex.has(module)) moduleIndex.set(module, moduleIndex.size);
    }
    const { length } = names;
    this.blocks = {
      length,
      // Bases far apart, so that an address is one call's only.
      modules: [...moduleIndex].map(([name, i]) => ({ name, path: name, base: i * baseStep })),
      module: Int32Array.from(symbols, ({ module }) => moduleIndex.get(module) ?? -1),
      offset: Float64Array.from(symbols, ({ offset }) => offset),
      lastInstruction: new Int32Array(length),
      size: new Int32Array(length),
      instructions: new Int32Array(length),
      kind: new Uint8Array(length),
    };
    this.marks = [
      { kind: 'thread' },
      { kind: 'gap', reason: 'no-call', traceOffset: 0, address: undefined, bytesLost: 0 },
    ];
  }

  /** @returns the name of the call whose block starts there */
  callAt(address: Address): string | undefined {
    const { modules } = this.blocks;
    // Numbers of calls, of any size, are all in one module; names are in one each.
    const index = modules.length === 1 ? 0 : Math.floor(address / baseStep);
    const module = modules[index];
    return module === undefined ? undefined : callName(module.name, address - module.base);
  }

  async run(
    sink: BlockSink,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<TraceSummary> {
    const entries = new Int32Array(batchLength);
    let length = 0;
    let blocks = 0;
    let gaps = 0;
    const flush = (): void => {
      options.signal?.throwIfAborted();
      if (length > 0) sink({ entries, length, traceOffset: 0, time: undefined });
      length = 0;
    };
    const put = (entry: number): void => {
      if (length === batchLength) flush();
      entries[length++] = entry;
    };
    for (const [index, calls] of this.#threads.entries()) {
      if (index > 0) put(threadMark);
      for (let i = 0; i < calls.length; i++) {
        if (calls[i] === lostCalls) {
          gaps++;
          put(gapMark);
        } else {
          blocks++;
          put(calls[i]);
        }
      }
    }
    flush();
    return {
      traceBytes: 0,
      blocks,
      distinctBlocks: this.blocks.length,
      gaps,
      overflows: 0,
      bytesLost: 0,
      asyncTransfers: 0,
      crashed: false,
    };
  }
}

/** Entries of the two marks. */
const threadMark = ~0;
const gapMark = ~1;
