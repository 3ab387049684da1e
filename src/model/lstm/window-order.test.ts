import { describe, expect, test } from 'vitest';
import { Random } from '../../base/random.ts';
import { WindowOrder } from './window-order.ts';

const counts = Float64Array.of(1, 4, 100, 9, 1);

/** All windows of an epoch. */
function epoch(order: WindowOrder, number: number, random = new Random(1)): [number, number][] {
  const taken: [number, number][] = [];
  for (let batch = 0; batch < order.batchesPerEpoch; batch++) {
    const { indices, weights } = order.take(number, batch, random);
    expect(indices.length).toBe(order.sizeOf(batch));
    indices.forEach((index, i) => {
      taken.push([index, weights[i]]);
    });
  }
  return taken;
}

describe('shuffled windows', () => {
  test('come once an epoch, the last partial batch included, in a new order each time', () => {
    const order = new WindowOrder(counts, { order: 'shuffled', power: 0.5, cap: 16 }, 2, 7);
    expect(order.batchesPerEpoch).toBe(3);
    const first = epoch(order, 1);
    // Roots of 1, 4, 16, 9, 1, divided by their mean.
    const weights = [1, 2, 4, 3, 1].map((weight) => weight / 2.2);
    for (const [index, weight] of first) expect(weight).toBeCloseTo(weights[index], 6);
    const places = (taken: [number, number][]): number[] => taken.map(([index]) => index);
    expect(places(first).sort()).toEqual([0, 1, 2, 3, 4]);
    const orders = new Set([1, 2, 3, 4, 5].map((number) => places(epoch(order, number)).join()));
    expect(orders.size).toBeGreaterThan(2);
    expect(epoch(order, 1)).toEqual(first);
  });
});

describe('drawn windows', () => {
  test.each([
    [1, 0, [1, 4, 100, 9, 1]],
    [0.5, 0, [1, 2, 10, 3, 1]],
    [1, 9, [1, 4, 9, 9, 1]],
    [0, 0, [1, 1, 1, 1, 1]],
  ])('come in proportion to min(count, cap) ** power: %d, %d', (power, cap, expected) => {
    const order = new WindowOrder(counts, { order: 'drawn', power, cap }, 5, 7);
    const random = new Random(3);
    const drawn = [0, 0, 0, 0, 0];
    const epochs = 3000;
    for (let number = 1; number <= epochs; number++) {
      for (const [index, weight] of epoch(order, number, random)) {
        expect(weight).toBe(1);
        drawn[index]++;
      }
    }
    const sum = expected.reduce((a, b) => a + b, 0);
    // Five standard deviations of a binomial.
    const total = 5 * epochs;
    drawn.forEach((n, i) => {
      const p = expected[i] / sum;
      expect(Math.abs(n - total * p)).toBeLessThan(5 * Math.sqrt(total * p * (1 - p)));
    });
  });
});
