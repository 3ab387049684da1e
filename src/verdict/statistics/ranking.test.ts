import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rankingQuality, rocCurve } from './ranking.ts';
import { normalQuantile } from './special.ts';

/** Mann-Whitney's definition: every pair looked at. */
function areaByPairs(nominal: readonly number[], anomalous: readonly number[]): number {
  let sum = 0;
  for (const x of anomalous) for (const y of nominal) sum += x > y ? 1 : x === y ? 0.5 : 0;
  return sum / (nominal.length * anomalous.length);
}

/** DeLong's covariance, from its definition over pairs. */
function deLongVariance(nominal: readonly number[], anomalous: readonly number[]): number {
  const psi = (x: number, y: number): number => (x > y ? 1 : x === y ? 0.5 : 0);
  const area = areaByPairs(nominal, anomalous);
  const spread = (values: number[]): number =>
    values.reduce((sum, v) => sum + (v - area) ** 2, 0) / (values.length - 1) / values.length;
  const average = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  return (
    spread(anomalous.map((x) => average(nominal.map((y) => psi(x, y))))) +
    spread(nominal.map((y) => average(anomalous.map((x) => psi(x, y)))))
  );
}

const scores = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 2, maxLength: 25 });

describe('area under the curve', () => {
  test('of perfect, reversed and useless scores', () => {
    expect(rankingQuality([1, 2], [3, 4]).auc).toBe(1);
    expect(rankingQuality([3, 4], [1, 2]).auc).toBe(0);
    expect(rankingQuality([1, 1], [1, 1]).auc).toBe(0.5);
  });

  test('equals the share of ordered pairs, and its variance is DeLong’s', () => {
    fc.assert(
      fc.property(scores, scores, (nominal, anomalous) => {
        const { auc, interval } = rankingQuality(nominal, anomalous);
        expect(auc).toBeCloseTo(areaByPairs(nominal, anomalous), 12);
        expect(interval.low).toBeLessThanOrEqual(auc);
        expect(interval.high).toBeGreaterThanOrEqual(auc);
        const variance = deLongVariance(nominal, anomalous);
        if (auc > 0 && auc < 1 && variance > 1e-12) {
          const logit = (p: number): number => Math.log(p / (1 - p));
          const half = (normalQuantile(0.975) * Math.sqrt(variance)) / (auc * (1 - auc));
          expect(logit(interval.high) - logit(auc)).toBeCloseTo(half, 6);
        }
      }),
      { numRuns: 100, seed: 1 },
    );
  });

  test('is the area below the ROC points', () => {
    fc.assert(
      fc.property(scores, scores, (nominal, anomalous) => {
        const points = rocCurve(nominal, anomalous);
        let area = 0;
        for (let i = 1; i < points.length; i++) {
          const width = points[i].falsePositiveRate - points[i - 1].falsePositiveRate;
          area += (width * (points[i].truePositiveRate + points[i - 1].truePositiveRate)) / 2;
        }
        expect(area).toBeCloseTo(rankingQuality(nominal, anomalous).auc, 12);
        expect(points.at(-1)).toMatchObject({ falsePositiveRate: 1, truePositiveRate: 1 });
      }),
      { numRuns: 100, seed: 2 },
    );
  });

  test('is unknown, not 0, without one of the classes', () => {
    expect(rankingQuality([], [1]).auc).toBeNaN();
    expect(rankingQuality([1], []).interval).toEqual({ low: 0, high: 1 });
  });

  test('a perfect ranking of few traces leaves room for doubt', () => {
    const { low, high } = rankingQuality([1, 2, 3], [4, 5, 6, 7]).interval;
    expect(high).toBe(1);
    expect(low).toBeCloseTo(0.025 ** (1 / 3), 12);
  });
});
