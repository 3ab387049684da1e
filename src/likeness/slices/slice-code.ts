import type { Address } from '../../base/address.ts';
import type { BlockSource } from '../../flow/blocks.ts';
import type { Slice } from './slices.ts';

/** Finds the function of an address in one traced process. */
export interface FunctionReader {
  /** Name of the function that holds the address, such as `inflate` or `sub_1a40`, without offset. */
  functionAt(address: Address): string | undefined;
}

/** A distinct block of a slice. */
export interface SliceBlock {
  /** Module name, empty outside every image; offset in it. */
  readonly module: string;
  readonly offset: number;
  readonly function: string | undefined;
  /** `Transfer` kind of the last instruction. */
  readonly transfer: number;
  /** How often it ran. */
  readonly count: number;
}

/** A distinct pair of blocks, one right after the other. */
export interface SliceEdge {
  /** Indices of the slice's `blocks`. */
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** The code that ran in one slice. */
export interface SliceCode {
  readonly blocks: readonly SliceBlock[];
  readonly edges: readonly SliceEdge[];
  /** Places where flow was unknown. */
  readonly gaps: number;
}

/** One thread of a trace, and what names its code. */
export interface SliceSource {
  readonly source: BlockSource;
  readonly code: FunctionReader;
}

/** Pairs of blocks as one number: a trace has fewer than 2^26 distinct blocks. */
const pairFactor = 2 ** 26;

/**
 * Reads a trace again for what ran in its slices.
 *
 * @param threads  all of the trace, in order: block indices run on from one to the next
 * @returns in the order of `slices`
 */
export async function readSliceCode(
  slices: readonly Slice[],
  threads: readonly SliceSource[],
  options: { readonly around: number; readonly signal?: AbortSignal },
): Promise<SliceCode[]> {
  const { around, signal } = options;
  const wanted = slices.map(({ start, end }) => ({
    start: start - around,
    end: end + around,
    blocks: new Map<string, SliceBlock & { index: number }>(),
    edges: new Map<number, number>(),
    gaps: 0,
  }));
  let before = 0;
  for (const { source, code } of threads) {
    const counts = wanted.map(() => ({
      blocks: new Map<number, number>(),
      edges: new Map<number, number>(),
      last: -1,
    }));
    let position = before;
    await source.run(
      ({ entries, length }) => {
        const last = position + length;
        const touched = wanted.flatMap((slice, i) =>
          slice.start < last && slice.end > position ? [i] : [],
        );
        for (let i = 0; i < length; i++) {
          const block = entries[i];
          for (const index of touched) {
            const slice = wanted[index];
            if (position < slice.start || position >= slice.end) continue;
            const count = counts[index];
            if (block < 0) {
              slice.gaps += source.marks[~block].kind === 'gap' ? 1 : 0;
              count.last = -1;
              continue;
            }
            count.blocks.set(block, (count.blocks.get(block) ?? 0) + 1);
            if (count.last >= 0) {
              const pair = count.last * pairFactor + block;
              count.edges.set(pair, (count.edges.get(pair) ?? 0) + 1);
            }
            count.last = block;
          }
          if (block >= 0) position++;
        }
      },
      signal === undefined ? {} : { signal },
    );
    wanted.forEach((slice, i) => {
      takeNames(slice, counts[i], source, code);
    });
    before = position;
  }
  return wanted.map(({ blocks, edges, gaps }) => ({
    blocks: [...blocks.values()],
    edges: Array.from(edges, ([pair, count]) => ({
      from: Math.floor(pair / pairFactor),
      to: pair % pairFactor,
      count,
    })),
    gaps,
  }));
}

/** Adds what one thread ran to a slice, under names that hold in every trace. */
function takeNames(
  slice: { blocks: Map<string, SliceBlock & { index: number }>; edges: Map<number, number> },
  counts: { blocks: Map<number, number>; edges: Map<number, number> },
  source: BlockSource,
  code: FunctionReader,
): void {
  const { blocks } = source;
  const indexOf = new Map<number, number>();
  for (const [block, count] of counts.blocks) {
    const module = blocks.module[block] < 0 ? undefined : blocks.modules[blocks.module[block]];
    const offset = blocks.offset[block];
    const name = `${module?.name ?? ''}+${offset}`;
    const known = slice.blocks.get(name);
    const index = known?.index ?? slice.blocks.size;
    indexOf.set(block, index);
    slice.blocks.set(name, {
      index,
      module: module?.name ?? '',
      offset,
      function: known?.function ?? code.functionAt((module?.base ?? 0) + offset),
      transfer: blocks.kind[block],
      count: (known?.count ?? 0) + count,
    });
  }
  for (const [pair, count] of counts.edges) {
    const from = indexOf.get(Math.floor(pair / pairFactor)) ?? 0;
    const to = indexOf.get(pair % pairFactor) ?? 0;
    const named = from * pairFactor + to;
    slice.edges.set(named, (slice.edges.get(named) ?? 0) + count);
  }
}
