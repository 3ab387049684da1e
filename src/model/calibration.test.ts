import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Random } from '../base/random.ts';
import { Calibration, calibrationError, isKnots } from './calibration.ts';

/** Predictions of a model that is right in a share `truth(confidence)` of all cases. */
function draw(length: number, truth: (confidence: number) => number, seed: number) {
  const random = new Random(seed);
  const confidence = Float64Array.from({ length }, () => random.uniform());
  const isRight = Uint8Array.from(confidence, (c) => (random.uniform() < truth(c) ? 1 : 0));
  return { confidence, isRight, weights: new Float64Array(length).fill(1) };
}

describe('calibration', () => {
  test('learns what confidences are worth', () => {
    const truth = (c: number): number => 0.2 + 0.7 * c ** 3;
    const { confidence, isRight, weights } = draw(20_000, truth, 1);
    const calibration = Calibration.fit(confidence, isRight, weights);
    const fresh = draw(20_000, truth, 2);
    const before = calibrationError(fresh.confidence, fresh.isRight, fresh.weights);
    const applied = fresh.confidence.map((c) => calibration.apply(c));
    // Of uniform confidences, |c - truth(c)| is 0.16 in the mean.
    expect(before).toBeGreaterThan(0.14);
    expect(calibrationError(applied, fresh.isRight, fresh.weights)).toBeLessThan(0.02);
  });

  test('never turns the order of two confidences, and stays within 0 and 1', () => {
    const unit = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(unit, fc.nat(1), fc.integer({ min: 1, max: 99 })), { minLength: 1 }),
        fc.array(unit),
        (cases, probes) => {
          const column = (i: 0 | 1 | 2): number[] => cases.map((item) => item[i]);
          const calibration = Calibration.fit(column(0), column(1), column(2));
          expect(isKnots(JSON.parse(JSON.stringify(calibration.knots)))).toBe(true);
          const rates = [0, 1, ...probes].sort((a, b) => a - b).map((c) => calibration.apply(c));
          rates.forEach((rate, i) => {
            expect(rate).toBeGreaterThanOrEqual(i === 0 ? 0 : rates[i - 1] - 1e-12);
            expect(rate).toBeLessThanOrEqual(1);
          });
        },
      ),
      { seed: 3 },
    );
  });

  test('the error of a range is the distance between its means, by weight', () => {
    // Two ranges of 1/15: 0.5 and 0.5 (one of two right: error 0), 0.9 (wrong: error 0.9, weight 2).
    expect(calibrationError([0.5, 0.5, 0.9], [1, 0, 0], [1, 1, 2])).toBeCloseTo(0.45, 12);
  });
});
