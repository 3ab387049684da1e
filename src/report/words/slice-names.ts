import type { ClusterSlice } from '../data/cluster-data.ts';
import { shorten, visible } from './escape.ts';

/** `name#2` for the second slice of a trace; its first one goes by the name alone. */
export function sliceName({ sample, rank }: Pick<ClusterSlice, 'sample' | 'rank'>): string {
  const name = visible(shorten(sample, 60));
  return rank === 1 ? name : `${name}#${rank}`;
}

/** `rop 8, jop 1` */
export function familiesOf(slices: readonly ClusterSlice[]): string {
  const counts = new Map<string, number>();
  for (const { family, label } of slices) {
    const name = family ?? label ?? 'no label';
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts]
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    .map(([name, count]) => `${visible(shorten(name, 40))} ${count}`)
    .join(', ');
}
