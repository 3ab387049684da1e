import { describe, expect, test } from 'vitest';
import { clopperPearson, clopperPearsonUpper, proportion } from './interval.ts';
import { betaCdf, betaQuantile, logGamma, normalCdf, normalQuantile } from './special.ts';

describe('special functions against tables', () => {
  test('log gamma of half integers and factorials', () => {
    expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.sqrt(Math.PI)), 13);
    let factorial = 0;
    for (let n = 1; n <= 170; n++) {
      expect(Math.abs(logGamma(n) - factorial)).toBeLessThan(1e-12 * Math.max(1, factorial));
      factorial += Math.log(n);
    }
  });

  // Abramowitz and Stegun, tables 26.1 and 26.5.
  test.each([
    [0.5, 0.691462461274013],
    [1, 0.841344746068543],
    [2, 0.977249868051821],
    [3, 0.99865010196837],
    [4, 0.999968328758167],
    [-1.5, 0.066807201268858],
  ])('normal distribution function at %d', (z, p) => {
    expect(normalCdf(z)).toBeCloseTo(p, 14);
  });
  test.each([
    [0.975, 1.959963984540054],
    [0.95, 1.644853626951473],
    [0.995, 2.575829303548901],
    [0.001, -3.090232306167813],
  ])('normal quantile of %d', (p, z) => {
    expect(normalQuantile(p)).toBeCloseTo(z, 12);
  });

  test('incomplete beta with integer parameters is a binomial tail', () => {
    for (const [x, a, b] of [
      [0.1, 3, 9],
      [0.5, 10, 1],
      [0.83, 40, 12],
      [0.01, 1, 133],
    ]) {
      let tail = 0;
      const n = a + b - 1;
      for (let k = a; k <= n; k++) {
        const choose = Math.exp(logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1));
        tail += choose * x ** k * (1 - x) ** (n - k);
      }
      expect(betaCdf(x, a, b)).toBeCloseTo(tail, 11);
      expect(betaQuantile(betaCdf(x, a, b), a, b)).toBeCloseTo(x, 11);
    }
  });
});

// Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17,
// 1998, table I: method 5 (exact).
describe.each([
  [81, 263, [0.2527, 0.3676]],
  [15, 148, [0.0578, 0.1617]],
  [0, 20, [0, 0.1684]],
  [1, 29, [0.0009, 0.1776]],
])('intervals of %d in %d as published', (count, total, exact) => {
  test('Clopper-Pearson', () => {
    const { low, high } = clopperPearson(count, total, 0.95);
    expect(low).toBeCloseTo(exact[0], 4);
    expect(high).toBeCloseTo(exact[1], 4);
  });
});

test('the one-sided bound of no event is the rule of three, exactly', () => {
  expect(clopperPearsonUpper(0, 100, 0.95)).toBeCloseTo(1 - 0.05 ** 0.01, 12);
});

test('nothing of nothing has no rate and an interval that says nothing', () => {
  expect(proportion(0, 0)).toEqual({
    count: 0,
    total: 0,
    rate: Number.NaN,
    interval: { low: 0, high: 1 },
  });
});

test('nonsense counts are our mistake', () => {
  expect(() => clopperPearson(3, 2, 0.95)).toThrow('3 of 2');
});
