import { mix, type WindowCounter } from './window-counter.ts';

/** For one sequence length: how many sources have 1, 2, 3 ... unique targets. */
export interface TargetDistribution {
  /** Blocks in a source. */
  readonly length: number;
  /** Distinct sources. */
  readonly sources: number;
  /** Pairs of unique targets and how many sources have as many; targets ascending. */
  readonly histogram: readonly (readonly [targets: number, sources: number])[];
}

/**
 * Distribution of unique targets for every sequence length up to the counter's window length.
 *
 * A source of length L is the last L blocks of a window, so that every length counts the same
 * transfers. Windows are sorted by their symbols read backwards: the windows that share their last
 * L symbols then stand together, for every L at once, and nothing rests on hashes.
 */
export function distributeTargets(counter: WindowCounter): TargetDistribution[] {
  const { windowLength: n, length, symbols, targets } = counter;
  const order = new Uint32Array(length);
  for (let i = 0; i < length; i++) order[i] = i;
  order.sort((a, b) => {
    for (let i = n - 1; i >= 0; i--) {
      const difference = symbols[a * n + i] - symbols[b * n + i];
      if (difference !== 0) return difference;
    }
    return 0;
  });
  // How many last symbols a window shares with the one before it.
  const shared = new Uint16Array(length);
  for (let i = 1; i < length; i++) {
    const [before, at] = [order[i - 1] * n, order[i] * n];
    let same = 0;
    while (same < n && symbols[before + n - 1 - same] === symbols[at + n - 1 - same]) same++;
    shared[i] = same;
  }
  let largest = -1;
  for (let i = 0; i < length; i++) largest = Math.max(largest, targets[i]);
  /** Source in which each target was last seen. */
  const seenIn = new Int32Array(largest + 1);
  const distributions: TargetDistribution[] = [];
  for (let l = 1; l <= n; l++) {
    const histogram = new Map<number, number>();
    seenIn.fill(0);
    let sources = 0;
    let unique = 0;
    const close = (): void => {
      if (unique > 0) histogram.set(unique, (histogram.get(unique) ?? 0) + 1);
    };
    for (let i = 0; i < length; i++) {
      if (i === 0 || shared[i] < l) {
        close();
        sources++;
        unique = 0;
      }
      const target = targets[order[i]];
      if (seenIn[target] === sources) continue;
      seenIn[target] = sources;
      unique++;
    }
    close();
    distributions.push({
      length: l,
      sources,
      histogram: [...histogram].sort((a, b) => a[0] - b[0]),
    });
  }
  return distributions;
}

/**
 * A sample of sources, for corpora whose distinct windows do not fit: those whose last block's
 * hash has `halvings` zero bits. A block's windows stay or go together, so that the targets of a
 * source that stays are complete.
 */
export function isSampled(counter: WindowCounter, index: number, halvings: number): boolean {
  const last = counter.symbols[(index + 1) * counter.windowLength - 1];
  return (mix(last + 1) & (2 ** halvings - 1)) === 0;
}
