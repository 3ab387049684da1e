import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ScalableBloomFilter } from './bloom-filter.ts';

describe('ScalableBloomFilter', () => {
  test('never takes a known key for new', () => {
    const half = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    fc.assert(
      fc.property(fc.array(fc.tuple(half, half), { maxLength: 200 }), (keys) => {
        const filter = new ScalableBloomFilter(0.1, 8);
        for (const [low, high] of keys) filter.add(low, high);
        expect(keys.some(([low, high]) => filter.add(low, high))).toBe(false);
      }),
      { seed: 3 },
    );
  });

  test.each([0.1, 0.01, 0.001])('keeps an error rate of %f while it grows 256-fold', (rate) => {
    const filter = new ScalableBloomFilter(rate, 1000);
    const keys = 256_000;
    let missed = 0;
    // Consecutive numbers: the least helpful keys for a hash.
    for (let key = 0; key < keys; key++) if (!filter.add(key, key >>> 3)) missed++;
    expect(missed / keys).toBeLessThanOrEqual(rate);
    // It uses its allowance, too: an exact set would pass without being a Bloom filter.
    expect(missed).toBeGreaterThan(0);
    expect(filter.memory).toBeLessThan(keys * 8);
  });
});
