import { type Address, formatAddress } from '../base/address.ts';
import type { BlockBatch, BlockSource, BlockTable } from '../flow/blocks.ts';
import type { Patch } from './patches.ts';

/** What turns addresses of one traced process into something to read. */
export interface CodeReader {
  /** Such as `libz.so.1!inflate+0x12`; `undefined` where only the file and the offset in it are known. */
  placeAt(address: Address): string | undefined;
  /** Instruction texts of a block; empty when its bytes are not known. */
  instructions(blocks: BlockTable, block: number): readonly string[];
  /** Follows the calls of the trace; without it no call stacks are told. */
  readonly calls?: OpenCalls;
}

/** Which calls are open; a `CallFollower` is one. */
export interface OpenCalls {
  push(batch: BlockBatch): void;
  readonly depth: number;
  /** @returns the block that ends in the open call `index`, 0 = the oldest */
  callAt(index: number): number;
}

/** Where a block lies, and what that is called. */
export interface BlockPlace {
  readonly address: Address;
  /** Module name, empty outside every image; offset in it. */
  readonly module: string;
  readonly offset: number;
  /** `libz.so.1!inflate+0x12`, `libz.so.1+0x3a12`, or an address. */
  readonly place: string;
}

/** A block that ran in or near a patch. */
export interface PatchBlock extends BlockPlace {
  /** Block index in the trace. */
  readonly index: number;
  readonly part: 'before' | 'inside' | 'after';
  readonly instructions: readonly string[];
  /** `Transfer` kind of the last instruction. */
  readonly transfer: number;
  /** Flow was unknown, or moved without an instruction, before this block. */
  readonly followsMark: boolean;
}

/** What ran around one patch. */
export interface PatchContext {
  readonly patch: Patch;
  readonly blocks: readonly PatchBlock[];
  /** Blocks whose calls were open before its first block, the youngest first; only where calls are followed. */
  readonly openCalls?: readonly BlockPlace[];
  /** Blocks inside the patch that are left out between the first and the last ones shown. */
  readonly omitted: number;
  /** Trace offset and time stamp (when the trace has one) at or before the patch. */
  readonly traceOffset: number;
  readonly time: number | undefined;
}

export interface ContextOptions {
  /** Blocks shown before and after, and inside at most. */
  readonly around: number;
  readonly inside: number;
  /** Sees every batch of the trace. */
  readonly watch?: (batch: BlockBatch) => void;
  readonly signal?: AbortSignal;
}

/** Open calls that are told, the youngest ones. */
const mostCalls = 48;

interface Taken {
  readonly index: number;
  readonly block: number;
  readonly followsMark: boolean;
}

/**
 * Reads a trace again for the blocks before, inside and after each patch.
 *
 * @param source  of the same trace; it is run once
 * @returns in the order of `patches`
 */
export async function readPatchContexts(
  patches: readonly Patch[],
  source: BlockSource,
  code: CodeReader,
  options: ContextOptions,
): Promise<PatchContext[]> {
  const excerpts = patches.map((patch) => new Excerpt(patch, options));
  const stacks = new Map<Patch, readonly number[]>();
  const starts = patches.toSorted((a, b) => a.start - b.start);
  let position = 0;
  let isAfterMark = false;
  await source.run(
    (batch) => {
      const { entries, length } = batch;
      options.watch?.(batch);
      if (code.calls !== undefined) followCalls(code.calls, batch, position, starts, stacks);
      for (const excerpt of excerpts) excerpt.pass(batch, position);
      // Positions count blocks only, so that a batch covers at most as many as it has entries.
      const touched = excerpts.filter((excerpt) => excerpt.touches(position, position + length));
      for (let i = 0; i < length; i++) {
        if (entries[i] < 0) {
          isAfterMark = true;
          continue;
        }
        for (const excerpt of touched) excerpt.take(position, entries[i], isAfterMark);
        isAfterMark = false;
        position++;
      }
    },
    options.signal === undefined ? {} : { signal: options.signal },
  );
  const placeOf = placesIn(source.blocks, code);
  return excerpts.map((excerpt): PatchContext => {
    const { patch, taken, traceOffset, time } = excerpt;
    return {
      patch,
      ...(code.calls === undefined ? {} : { openCalls: (stacks.get(patch) ?? []).map(placeOf) }),
      traceOffset,
      time,
      omitted: Math.max(0, patch.end - patch.start - options.inside),
      blocks: taken.map(
        ({ index, block, followsMark }): PatchBlock => ({
          index,
          part: index < patch.start ? 'before' : index < patch.end ? 'inside' : 'after',
          ...placeOf(block),
          instructions: code.instructions(source.blocks, block),
          transfer: source.blocks.kind[block],
          followsMark,
        }),
      ),
    };
  });
}

/** What is taken of a trace for one patch: the blocks around it, and of a long one its two ends. */
class Excerpt {
  readonly patch: Patch;
  readonly taken: Taken[] = [];
  traceOffset = 0;
  time: number | undefined;
  /** First position, and the one behind the last. */
  readonly #ranges: readonly (readonly [number, number])[];

  constructor(patch: Patch, { around, inside }: ContextOptions) {
    this.patch = patch;
    const start = patch.start - around;
    const end = patch.end + around;
    const half = Math.ceil(inside / 2);
    const isLong = patch.end - patch.start > inside;
    this.#ranges = isLong
      ? [
          [start, patch.start + half],
          [patch.end - (inside - half), end],
        ]
      : [[start, end]];
  }

  /** @param position  of the batch's first block */
  pass({ traceOffset, time }: BlockBatch, position: number): void {
    if (this.patch.start < position) return;
    this.traceOffset = traceOffset;
    this.time = time;
  }

  touches(from: number, to: number): boolean {
    return this.#ranges.some(([start, end]) => start < to && end > from);
  }

  take(index: number, block: number, followsMark: boolean): void {
    if (this.touches(index, index + 1)) this.taken.push({ index, block, followsMark });
  }
}

/** @returns a function that says where a block lies */
function placesIn(blocks: BlockTable, code: CodeReader): (block: number) => BlockPlace {
  return (block) => {
    const { name: module, base } = blocks.modules[blocks.module[block]] ?? { name: '', base: 0 };
    const offset = blocks.offset[block];
    const address = base + offset;
    const place = code.placeAt(address) ?? plainPlace(module, offset, address);
    return { address, module, offset, place };
  };
}

function plainPlace(module: string, offset: number, address: Address): string {
  return module === '' ? formatAddress(address) : `${module}+${formatAddress(offset)}`;
}

/**
 * Hands a batch on in parts, so as to look at the open calls where patches begin.
 *
 * @param position  index of the batch's first block
 * @param starts  patches in the order in which they begin
 * @param stacks  gets blocks that end in open calls, the youngest first
 */
function followCalls(
  calls: OpenCalls,
  batch: BlockBatch,
  position: number,
  starts: readonly Patch[],
  stacks: Map<Patch, readonly number[]>,
): void {
  const { entries, length } = batch;
  let next = starts.findIndex((patch) => !stacks.has(patch));
  let pushed = 0;
  let at = position;
  for (let i = 0; i < length && next >= 0 && next < starts.length; i++) {
    if (entries[i] < 0) continue;
    while (starts[next]?.start === at) {
      calls.push({ ...batch, entries: entries.subarray(pushed, i), length: i - pushed });
      pushed = i;
      const stack: number[] = [];
      const lowest = Math.max(0, calls.depth - mostCalls);
      for (let level = calls.depth - 1; level >= lowest; level--) stack.push(calls.callAt(level));
      stacks.set(starts[next], stack);
      next++;
    }
    at++;
  }
  calls.push({ ...batch, entries: entries.subarray(pushed, length), length: length - pushed });
}
