/**
 * How well two groupings of the same items agree, corrected for chance: 1 = the same, about 0 = as
 * good as drawn at random, below 0 = worse.
 *
 * @param a, b  a group of each item; any numbers or names
 * @see Hubert and Arabie, "Comparing partitions", Journal of Classification 2, 1985
 */
export function adjustedRandIndex(a: readonly unknown[], b: readonly unknown[]): number {
  const pairs = (n: number): number => (n * (n - 1)) / 2;
  const sizesA = new Map<unknown, number>();
  const sizesB = new Map<unknown, number>();
  const both = new Map<unknown, Map<unknown, number>>();
  for (let i = 0; i < a.length; i++) {
    sizesA.set(a[i], (sizesA.get(a[i]) ?? 0) + 1);
    sizesB.set(b[i], (sizesB.get(b[i]) ?? 0) + 1);
    const row = both.get(a[i]) ?? new Map<unknown, number>();
    both.set(a[i], row.set(b[i], (row.get(b[i]) ?? 0) + 1));
  }
  const sum = (sizes: Iterable<number>): number => {
    let total = 0;
    for (const size of sizes) total += pairs(size);
    return total;
  };
  let together = 0;
  for (const row of both.values()) together += sum(row.values());
  const togetherA = sum(sizesA.values());
  const togetherB = sum(sizesB.values());
  const all = pairs(a.length);
  const expected = all === 0 ? 0 : (togetherA * togetherB) / all;
  const most = (togetherA + togetherB) / 2;
  // Both put everything into one group, or every item into its own.
  if (most === expected) return 1;
  return (together - expected) / (most - expected);
}
