import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Random } from '../base/random.ts';
import {
  calibrationBound,
  checkCalibrationSize,
  conformalPValue,
  tracesNeeded,
} from './conformal.ts';
import { betaCdf } from './statistics/special.ts';

describe('number of calibration traces', () => {
  test.each([
    [0.01, 99],
    [0.05, 19],
    [0.001, 999],
    [0.5, 1],
    [0.07, 14],
  ])('a rate of %d takes %d', (fpr, needed) => {
    expect(tracesNeeded(fpr)).toBe(needed);
  });

  test('too few are refused with the number that it takes', () => {
    expect(() => checkCalibrationSize(40, 0.01)).toThrow(
      /takes 99 .* there are 40, 40 allow 0\.024/,
    );
    expect(() => checkCalibrationSize(99, 0.01)).not.toThrow();
  });

  test.each([0, 1, -0.1, Number.NaN])('a rate of %d is refused', (fpr) => {
    expect(() => checkCalibrationSize(1e6, fpr)).toThrow('not between 0 and 1');
  });
});

describe('conformal p-values', () => {
  test('count the calibration scores that reach the score, ties included', () => {
    const calibration = [1, 2, 2, 3];
    expect(conformalPValue(calibration, 4)).toBe(1 / 5);
    expect(conformalPValue(calibration, 3)).toBe(2 / 5);
    expect(conformalPValue(calibration, 2)).toBe(4 / 5);
    expect(conformalPValue(calibration, 0)).toBe(1);
  });

  // The guarantee itself, without randomness: of n + 1 exchangeable scores each is equally likely
  // to be the judged one, so at most alpha (n + 1) of the n + 1 choices may have p <= alpha.
  test('are never too small too often, for any scores and ties', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 2, maxLength: 40 }),
        fc.double({ min: 0.001, max: 0.999, noNaN: true }),
        (scores, alpha) => {
          const small = scores.filter((score, index) => {
            const others = scores.toSpliced(index, 1).sort((a, b) => a - b);
            return conformalPValue(others, score) <= alpha;
          });
          expect(small.length).toBeLessThanOrEqual(alpha * scores.length + 1e-9);
        },
      ),
      { numRuns: 300, seed: 3 },
    );
  });
});

describe('bound on the rate of a calibrated threshold', () => {
  test('is the quantile of Beta(k, n + 1 - k)', () => {
    const { expected, upper } = calibrationBound(133, 0.05);
    expect(expected).toBe(6 / 134);
    expect(betaCdf(upper, 6, 128)).toBeCloseTo(0.95, 10);
  });

  test('holds in 95 of 100 calibration sets', () => {
    // Uniform scores: the true rate of the threshold is 1 - threshold.
    const random = new Random(4);
    const { upper } = calibrationBound(150, 0.02);
    let kept = 0;
    for (let run = 0; run < 2000; run++) {
      const scores = Float64Array.from({ length: 150 }, () => random.uniform()).sort();
      // k = floor(0.02 * 151) = 3: flagged when above the third largest.
      if (1 - scores[147] <= upper) kept++;
    }
    expect(kept / 2000).toBeGreaterThan(0.935);
    expect(kept / 2000).toBeLessThan(0.965);
  });
});
