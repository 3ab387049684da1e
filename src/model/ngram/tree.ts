import { hashOfSymbol, rollingFactor } from '../../sequences/window-counter.ts';
import type { WindowSet } from '../../sequences/windows.ts';

/**
 * The contexts of training windows as a tree: the root is the empty context, the children of a
 * context are the longer ones that end in it. Contexts are numbered level by level, parents before
 * children, siblings side by side.
 *
 * An entry is a target that followed a context; those of a context stand together, targets ascending.
 */
export interface ContextTree {
  /** Symbols in the contexts of each level, ascending; level 0 is the root with 0 symbols. */
  readonly lengths: Int32Array;
  /** First context of each level; one more at the end. */
  readonly levels: Int32Array;
  /** Next shorter context, one a context; -1 for the root. */
  readonly parents: Int32Array;
  /** Two hashes of each context, which stand for its symbols. */
  readonly keys: Int32Array;
  /** First entry of each context; one more at the end. */
  readonly starts: Int32Array;
  readonly targets: Int32Array;
  /** Weight of each entry, above 0. */
  readonly counts: Float32Array;
}

export interface TreeOptions {
  /** Lengths of contexts, ascending, without 0, none longer than the windows. */
  readonly lengths: readonly number[];
  /**
   * What counts for an entry. `occurrences` adds up the weights of its windows, at every level.
   * `continuations` does so at the longest level only; an entry of a shorter context counts the
   * children that have it, which is what Kneser and Ney estimate shorter contexts from.
   */
  readonly counting: 'occurrences' | 'continuations';
  /** What `count` occurrences of a window are worth. */
  readonly weight: (count: number) => number;
}

/** Grows the tree of all contexts of the windows. Exact: no two contexts are taken for one. */
export function growTree(
  windows: WindowSet,
  outputClasses: number,
  { lengths: given, counting, weight }: TreeOptions,
): ContextTree {
  const { symbols, windowLength: n } = windows;
  const lengths = Int32Array.of(0, ...given);
  const last = lengths.length - 1;
  const order = sortedByNewest(windows, lengths[last]);
  const shared = sharedLengths(windows, order, lengths[last]);

  const levels = new Int32Array(lengths.length + 1);
  for (let level = 0; level <= last; level++) {
    let contexts = 0;
    for (const same of shared) if (same < lengths[level]) contexts++;
    levels[level + 1] = levels[level] + contexts;
  }
  const parents = new Int32Array(levels[last + 1]);
  const keys = new Int32Array(parents.length * 2);
  const firstWindow = new Int32Array(levels[last + 1] - levels[last] + 1);
  const hashes = new Int32Array(lengths.length * 2);
  const next = levels.slice();
  for (let i = 0; i < order.length; i++) {
    hashContexts(symbols, (order[i] + 1) * n, lengths, hashes);
    for (let level = 0; level <= last; level++) {
      if (shared[i] >= lengths[level]) continue;
      const context = next[level]++;
      parents[context] = level === 0 ? -1 : next[level - 1] - 1;
      keys[2 * context] = hashes[2 * level];
      keys[2 * context + 1] = hashes[2 * level + 1];
      if (level === last) firstWindow[context - levels[last]] = i;
    }
  }
  firstWindow[firstWindow.length - 1] = order.length;

  // Entries from the longest contexts to the root, those of a level from those of the next.
  const parts: Entries[] = [];
  let entries = mergeItems(
    firstWindow,
    Int32Array.from(order, (window) => windows.targets[window]),
    Float32Array.from(order, (window) => weight(windows.counts[window])),
    outputClasses,
  );
  parts.unshift(entries);
  for (let level = last - 1; level >= 0; level--) {
    // Where the entries of each context's first child start.
    const bounds = new Int32Array(levels[level + 1] - levels[level] + 1);
    for (let child = levels[level + 2] - 1; child >= levels[level + 1]; child--) {
      bounds[parents[child] - levels[level]] = entries.starts[child - levels[level + 1]];
    }
    bounds[bounds.length - 1] = entries.targets.length;
    const { targets, counts } = entries;
    const items = counting === 'continuations' ? new Float32Array(counts.length).fill(1) : counts;
    entries = mergeItems(bounds, targets, items, outputClasses);
    parts.unshift(entries);
  }
  return { lengths, levels, parents, keys, ...joinLevels(parts) };
}

type Entries = Pick<ContextTree, 'starts' | 'targets' | 'counts'>;

/** Adds up the items of each group by target. @param bounds  first item of each group, and the end */
function mergeItems(
  bounds: Int32Array,
  itemTargets: Int32Array,
  itemCounts: Float32Array,
  outputClasses: number,
): Entries {
  const starts = new Int32Array(bounds.length);
  const targets = new Int32Array(itemTargets.length);
  const counts = new Float32Array(itemTargets.length);
  const sums = new Float64Array(outputClasses);
  let entries = 0;
  for (let group = 0; group + 1 < bounds.length; group++) {
    const first = entries;
    for (let item = bounds[group]; item < bounds[group + 1]; item++) {
      const target = itemTargets[item];
      if (sums[target] === 0) targets[entries++] = target;
      sums[target] += itemCounts[item];
    }
    targets.subarray(first, entries).sort();
    for (let entry = first; entry < entries; entry++) {
      counts[entry] = sums[targets[entry]];
      sums[targets[entry]] = 0;
    }
    starts[group + 1] = entries;
  }
  return { starts, targets: targets.slice(0, entries), counts: counts.slice(0, entries) };
}

function joinLevels(parts: readonly Entries[]): Entries {
  const contexts = parts.reduce((sum, { starts }) => sum + starts.length - 1, 0);
  const entries = parts.reduce((sum, { targets }) => sum + targets.length, 0);
  const starts = new Int32Array(contexts + 1);
  const targets = new Int32Array(entries);
  const counts = new Float32Array(entries);
  let context = 0;
  let entry = 0;
  for (const part of parts) {
    for (let i = 1; i < part.starts.length; i++) starts[++context] = entry + part.starts[i];
    targets.set(part.targets, entry);
    counts.set(part.counts, entry);
    entry += part.targets.length;
  }
  return { starts, targets, counts };
}

/** @returns the windows in order of their newest symbol, then the one before it, ... */
function sortedByNewest(
  { symbols, windowLength: n, counts }: WindowSet,
  longest: number,
): Uint32Array {
  return Uint32Array.from(counts, (_, i) => i).sort((a, b) => {
    let x = (a + 1) * n;
    let y = (b + 1) * n;
    for (const end = x - longest; x > end; ) {
      const difference = symbols[--x] - symbols[--y];
      if (difference !== 0) return difference;
    }
    return a - b;
  });
}

/** @returns how many of the newest symbols each window shares with the one before it; -1 for the first */
function sharedLengths(
  { symbols, windowLength: n }: WindowSet,
  order: Uint32Array,
  longest: number,
): Int32Array {
  const shared = new Int32Array(order.length).fill(-1);
  for (let i = 1; i < order.length; i++) {
    const a = (order[i] + 1) * n;
    const b = (order[i - 1] + 1) * n;
    let same = 0;
    while (same < longest && symbols[a - 1 - same] === symbols[b - 1 - same]) same++;
    shared[i] = same;
  }
  return shared;
}

/** Writes two hashes of the last `length` symbols before `end` for each of the lengths, ascending. */
export function hashContexts(
  symbols: Int32Array,
  end: number,
  lengths: Int32Array,
  hashes: Int32Array,
): void {
  let a = 0;
  let b = 0x1b873593;
  let length = 0;
  for (let level = 0; level < lengths.length; level++) {
    for (; length < lengths[level]; length++) {
      const value = hashOfSymbol(symbols[end - 1 - length]);
      a = (Math.imul(a, rollingFactor) + value) | 0;
      b = Math.imul(b ^ value, 0x5bd1e995);
    }
    hashes[2 * level] = Math.imul(a ^ length, 0x85ebca6b);
    const mixed = Math.imul(b ^ length ^ (a >>> 16), 0xc2b2ae35);
    hashes[2 * level + 1] = mixed ^ (mixed >>> 15);
  }
}
