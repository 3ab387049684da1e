import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exampleEvaluation, withHistories } from '../../../test/example-evaluation.ts';
import { type TargetSort, targetSorts } from '../../evidence/transfer-code.ts';
import { chooseFeatures, featureNames } from './feature-table.ts';
import { computeFeatures, feature } from './features.ts';
import { CrowdedSum, crowdedSum, worstSum, worstUnknownShare } from './worst-window.ts';

describe('worst window', () => {
  test('is the largest of all sums, however they are found', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(20), { minLength: 0, maxLength: 60 }),
        fc.integer({ min: 1, max: 12 }),
        (series, length) => {
          let worst = 0;
          for (let i = 0; i < series.length; i++) {
            let sum = 0;
            for (const value of series.slice(i, i + length)) sum += value;
            worst = Math.max(worst, sum);
          }
          expect(worstSum(Float64Array.from(series), length)).toBeCloseTo(worst, 10);
          const places = series.flatMap((value, i) => (value === 0 ? [] : [i]));
          const values = Float64Array.from(places, (i) => series[i]);
          expect(crowdedSum(values, Int32Array.from(places), length)).toBeCloseTo(worst, 10);
        },
      ),
      { numRuns: 300, seed: 7 },
    );
  });

  test('by blocks agrees with looking at every stretch', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.nat(3)), { maxLength: 40 }),
        fc.integer({ min: 1, max: 16 }),
        (steps, length) => {
          let at = 0;
          const positions = Int32Array.from(steps, ([step]) => (at += step));
          const values = Float64Array.from(steps, ([, value]) => value / 3);
          let worst = 0;
          for (let start = 0; start <= at; start++) {
            let sum = 0;
            positions.forEach((p, i) => {
              if (p >= start && p < start + length) sum += values[i];
            });
            worst = Math.max(worst, sum);
          }
          const found = crowdedSum(values, positions, length);
          expect(found).toBeCloseTo(worst, 10);
          const oneByOne = new CrowdedSum(length);
          values.forEach((value, i) => void oneByOne.push(value, positions[i]!));
          expect(oneByOne.worst).toBe(found);
        },
      ),
      { numRuns: 300, seed: 9 },
    );
  });

  test('of unknown blocks agrees with looking at every block', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })), {
          maxLength: 8,
        }),
        fc.integer({ min: 1, max: 15 }),
        (gapsAndRuns, length) => {
          const blocks: number[] = [];
          const runs: number[] = [];
          for (const [gap, run] of gapsAndRuns) {
            for (let i = 0; i < gap; i++) blocks.push(0);
            runs.push(blocks.length, run);
            for (let i = 0; i < run; i++) blocks.push(1);
          }
          const expected = worstSum(Float64Array.from(blocks), length) / length;
          expect(worstUnknownShare(Int32Array.from(runs), length)).toBeCloseTo(expected, 10);
        },
      ),
      { numRuns: 500, seed: 8 },
    );
  });
});

describe('features of a trace', () => {
  const right = { predicted: 1, actual: 1, confidence: 0.5 };
  const wrong = { predicted: 1, actual: 2, confidence: 0.8, p: 0.1, unseen: true };

  test('by hand', () => {
    const trace = computeFeatures(
      exampleEvaluation([right, wrong], {
        occurrences: [0, 0, 1, 0, 1, 1, 0, 0],
        unknownRuns: [3, 2],
        evidence: [{ kind: 'return-mismatch', position: 1, traceOffset: 0, count: 4 }],
      }),
    );
    expect(feature(trace, 'mispredictionRate')).toBe(3 / 8);
    expect(feature(trace, 'wrongConfidence')).toBeCloseTo(0.8, 6);
    expect(feature(trace, 'nll')).toBeCloseTo((5 * Math.LN2 + 3 * Math.LN10) / 8, 6);
    expect(feature(trace, 'worst-wrong-5')).toBe(3 / 5);
    expect(feature(trace, 'worst-nll-5')).toBeCloseTo((2 * Math.LN2 + 3 * Math.LN10) / 5, 6);
    expect(feature(trace, 'worst-unseen-10')).toBe(3 / 10);
    expect(feature(trace, 'unknownBlockRate')).toBe(2 / 132);
    expect(feature(trace, 'worst-unknown-5')).toBe(2 / 5);
    expect(feature(trace, 'evidence-return-mismatch')).toBe(4);
  });

  test('of histories count all transfers, and add surprises up where no code is known', () => {
    const rows = [0.5, 1e-3, 1e-2].map((p) => ({ ...wrong, p }));
    const of = (sort: TargetSort) =>
      computeFeatures(withHistories(exampleEvaluation(rows), targetSorts.indexOf(sort)));
    const unknown = of('unknown');
    expect(feature(unknown, 'mispredictionRate')).toBeCloseTo(3 / 31);
    // Half of what the chance tells, at the scale of the place.
    expect(feature(unknown, 'surprise-1')).toBeCloseTo(-Math.log(1e-3) / 2);
    // They lie four blocks apart.
    expect(feature(unknown, 'surprise-4')).toBeCloseTo(-Math.log(1e-3) / 2);
    expect(feature(unknown, 'surprise-16')).toBeCloseTo(-Math.log(0.5 * 1e-5) / 2);
    const pointer = of('taken');
    expect(feature(pointer, 'surprise-1')).toBeCloseTo(-Math.log(1e-3) / 2);
    expect(feature(pointer, 'surprise-16')).toBe(0);
    expect(feature(of('named'), 'surprise-1')).toBe(0);
  });

  test('of a trace without a single transfer are zero, not NaN', () => {
    const trace = computeFeatures(exampleEvaluation([]));
    for (const name of featureNames) {
      // Only histories tell nats that can be added up.
      const expected = name === 'blocks' ? 100 : name.startsWith('surprise-') ? Number.NaN : 0;
      expect(feature(trace, name), name).toBe(expected);
    }
  });

  test('that an evaluation does not hold are NaN', () => {
    const trace = computeFeatures(exampleEvaluation([{ ...wrong, p: Number.NaN }]));
    expect(feature(trace, 'nll')).toBeNaN();
    expect(feature(trace, 'worst-nll-5')).toBeNaN();
    expect(feature(trace, 'mispredictionRate')).toBe(1);
  });

  test('an impossible event is surprising, not infinite', () => {
    const trace = computeFeatures(exampleEvaluation([{ ...wrong, p: 0 }]));
    expect(feature(trace, 'nll')).toBeCloseTo(30 * Math.LN10, 4);
  });
});

describe('choice of features', () => {
  test('first layer only leaves out what the trace proves by itself', () => {
    const names = chooseFeatures('first-layer');
    expect(names).toContain('worst-nll-5');
    expect(names.filter((name) => /evidence|gaps|outside/.test(name))).toEqual([]);
    // What was lost of a trace, and how it ended, is no matter of predictions either.
    for (const name of ['bytesLost', 'overflows', 'crashed', 'hint-weight', 'blocks']) {
      expect(featureNames).toContain(name);
      expect(names).not.toContain(name);
    }
  });
  test('an unknown name is refused with the names there are', () => {
    expect(() => chooseFeatures('nll,no<b>')).toThrow(
      /no such feature: no<b>; .*mispredictionRate/,
    );
  });
});
