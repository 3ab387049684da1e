import type { ContextTree } from './tree.ts';

export const smoothings = ['witten-bell', 'kneser-ney', 'none'] as const;
export type Smoothing = (typeof smoothings)[number];

/** What an entry that counts 1, 2, and 3 or more gives to shorter contexts. */
export type Discounts = readonly [one: number, two: number, more: number];

/** The distributions of all contexts of a tree. */
export interface SmoothedTree {
  /** P(target | context) of each entry. */
  readonly probabilities: Float64Array;
  /** By context: what a target that is no entry gets of its probability in the next shorter one. */
  readonly backoffs: Float64Array;
  /** P of a target that is no entry of the root. */
  readonly floor: number;
}

/**
 * How much an entry gives to shorter contexts.
 *
 * Kneser and Ney, modified: a discount that depends on the count, estimated for each level. Witten and
 * Bell: nothing is taken from the counts, but T kinds of targets are as many more counts that go to
 * the next shorter context. None: nothing.
 *
 * @see Chen and Goodman, "An empirical study of smoothing techniques for language modeling", TR-10-98
 * @see Witten and Bell, "The zero-frequency problem", IEEE Transactions on Information Theory 37 (1991)
 */
export interface SmoothingRule {
  /** By level. */
  readonly discounts: readonly Discounts[];
  /** Counts added to a context for each kind of target. */
  readonly perKind: number;
}

export function smoothingRule(tree: ContextTree, smoothing: Smoothing): SmoothingRule {
  const levels = Array.from(tree.lengths, (_, level) => level);
  return {
    discounts: levels.map((level) =>
      smoothing === 'kneser-ney' ? estimateDiscounts(tree, level) : [0, 0, 0],
    ),
    perKind: smoothing === 'witten-bell' ? 1 : 0,
  };
}

export function discountOf(count: number, discounts: Discounts): number {
  return Math.min(count, discounts[count < 1.5 ? 0 : count < 2.5 ? 1 : 2]);
}

/** Chen and Goodman's estimates, from how many entries of a level count 1, 2, 3 and 4. */
function estimateDiscounts({ levels, starts, counts }: ContextTree, level: number): Discounts {
  const n = [0, 0, 0, 0, 0];
  for (let entry = starts[levels[level]]; entry < starts[levels[level + 1]]; entry++) {
    const count = Math.round(counts[entry]);
    if (count <= 4) n[count]++;
  }
  const y = n[1] / (n[1] + 2 * n[2]);
  const estimate = (k: number): number => {
    const discount = k - ((k + 1) * y * n[k + 1]) / n[k];
    // A small corpus may have none that count k, or so many more that count k + 1 that nothing is left.
    return discount > 0 && discount <= k ? discount : k / 2;
  };
  return [estimate(1), estimate(2), estimate(3)];
}

/** Interpolates every context with the next shorter one; below the root all targets are equal. */
export function smoothTree(
  { levels, parents, starts, targets, counts }: ContextTree,
  { discounts, perKind }: SmoothingRule,
  outputClasses: number,
): SmoothedTree {
  const probabilities = new Float64Array(counts.length);
  const backoffs = new Float64Array(parents.length);
  for (let level = 0; level + 1 < levels.length; level++) {
    for (let context = levels[level]; context < levels[level + 1]; context++) {
      const from = starts[context];
      const to = starts[context + 1];
      let given = perKind * (to - from);
      let sum = given;
      for (let entry = from; entry < to; entry++) {
        sum += counts[entry];
        given += discountOf(counts[entry], discounts[level]);
      }
      const backoff = given / sum;
      backoffs[context] = backoff;
      let above = level === 0 ? 0 : starts[parents[context]];
      for (let entry = from; entry < to; entry++) {
        let shorter = 1 / outputClasses;
        if (level > 0) {
          above = sameTarget(targets, above, targets[entry]);
          shorter = probabilities[above];
        }
        const own = counts[entry] - discountOf(counts[entry], discounts[level]);
        probabilities[entry] = own / sum + backoff * shorter;
      }
    }
  }
  return { probabilities, backoffs, floor: backoffs[0] / outputClasses };
}

/** A parent has all targets of its children, in the same order. @returns the first entry from `entry` on */
function sameTarget(targets: Int32Array, entry: number, target: number): number {
  let at = entry;
  while (targets[at] !== target) at++;
  return at;
}
