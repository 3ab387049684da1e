import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { distributeTargets, isSampled } from './target-statistics.ts';
import { hashWindow, WindowCounter } from './window-counter.ts';

const windows = fc.array(fc.array(fc.nat(2), { minLength: 5, maxLength: 5 }), { maxLength: 80 });

function count(rows: readonly number[][]): WindowCounter {
  const counter = new WindowCounter(4);
  for (const row of rows) {
    const history = Int32Array.from(row.slice(0, 4));
    counter.add(history, 0, hashWindow(history, 0, 4), row[4]);
  }
  return counter;
}

describe('distributeTargets', () => {
  test('equals sets of targets by source, kept in maps', () => {
    fc.assert(
      fc.property(windows, (rows) => {
        for (const { length, sources, histogram } of distributeTargets(count(rows))) {
          const bySource = new Map<string, Set<number>>();
          for (const row of rows) {
            const source = row.slice(4 - length, 4).join();
            bySource.set(source, (bySource.get(source) ?? new Set()).add(row[4]));
          }
          const plain = new Map<number, number>();
          for (const { size } of bySource.values()) plain.set(size, (plain.get(size) ?? 0) + 1);
          expect(sources).toBe(bySource.size);
          expect(histogram).toEqual([...plain].sort((a, b) => a[0] - b[0]));
        }
      }),
      { seed: 7 },
    );
  });

  test('a sample keeps whole sources, and the counter still finds what it kept', () => {
    const rows = Array.from({ length: 4000 }, (_, i) => [1, 2, 3, i % 500, i % 7]);
    const counter = count(rows);
    const before = counter.length;
    counter.retain((index) => isSampled(counter, index, 1));
    expect(counter.length).toBeGreaterThan(before / 3);
    expect(counter.length).toBeLessThan((2 * before) / 3);
    expect(distributeTargets(counter)[3]?.histogram).toEqual([[7, counter.length / 7]]);
    const kept = counter.length;
    const history = counter.symbols.slice(0, 4);
    expect(counter.add(history, 0, hashWindow(history, 0, 4), counter.targets[0])).toBe(0);
    expect(counter.length).toBe(kept);
  });
});
