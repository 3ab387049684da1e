import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exampleEvaluation } from '../../test/example-evaluation.ts';
import { Random } from '../base/random.ts';
import type { SampleIdentity } from '../evaluation/evaluation.ts';
import { classifyNominal, type NominalOptions } from './classify-nominal.ts';
import { computeFeatures, type TraceFeatures } from './features/features.ts';
import { shiftCheck } from './shift.ts';
import { standardizedSuspicion } from './standardize.ts';

const options: NominalOptions = { fpr: 0.05, features: 'all', seed: 1 };

/** A trace whose worst prediction had probability `p`. */
function trace(p: number, sample: Partial<SampleIdentity>, proofs = 0): TraceFeatures {
  const evidence = Array.from({ length: proofs }, () => ({
    kind: 'return-mismatch' as const,
    position: 0,
    traceOffset: 0,
  }));
  return computeFeatures(
    exampleEvaluation([{ predicted: 1, actual: 2, confidence: 1 - p, p }], { sample, evidence }),
  );
}

const calibration = Array.from({ length: 39 }, (_, i) =>
  trace((i + 1) / 100, { role: 'calibration', name: `c${i}` }),
);

describe('nominal-only verdicts', () => {
  const attack = { label: 'anomalous', role: 'test' } as const;
  const result = classifyNominal(
    [
      ...calibration,
      trace(0.005, { ...attack, name: 'bad', family: 'x' }),
      trace(0.9, { ...attack, name: 'proved', family: 'y' }, 1),
      trace(0.9, { name: 'good' }),
      trace(1e-9, { name: 'learned', role: 'training' }),
    ],
    options,
  );
  const byName = (name: string) => result.verdicts.find((v) => v.sample.name === name)!;

  test('flag what exceeds the calibration', () => {
    expect(byName('bad')).toMatchObject({ isFlagged: true, pValue: 1 / 40 });
    expect(byName('good')).toMatchObject({ isFlagged: false, pValue: 1 });
  });

  test('flag a proof whatever the model says, and say why', () => {
    expect(byName('proved').isFlagged).toBe(true);
    expect(byName('proved').reasons[0].feature).toBe('evidence-return-mismatch');
  });

  test('the threshold is the score that a flagged trace exceeds', () => {
    for (const verdict of result.verdicts) {
      if (verdict.sample.role !== 'test') continue;
      expect(verdict.isFlagged).toBe(verdict.score > result.threshold);
    }
  });

  test('of calls rest on the mean surprise, and a quarter of that of the worst 50 steps', () => {
    const calls = classifyNominal([...calibration, trace(0.001, { name: 'odd' })], {
      ...options,
      features: 'calls',
    });
    const odd = calls.verdicts.find((v) => v.sample.name === 'odd')!;
    // One prediction only: its surprise is the mean; the 49 steps that are not there surprise nobody.
    expect(odd.score).toBeCloseTo(-Math.log(0.001) * (1 + 0.25 / 50), 3);
    expect(odd.reasons.map(({ feature }) => feature)).toEqual(['nll', 'worst-nll-50']);
    expect(odd.isFlagged).toBe(true);
  });

  test('training traces get no p-value, and count in no rate', () => {
    expect(byName('learned').pValue).toBeNaN();
    expect(result.heldOut).toMatchObject({ measuredOn: 'held out', nominal: 1, anomalous: 2 });
  });

  test('rates are told by family', () => {
    expect(result.heldOut.families.map((f) => [f.family, f.recall.rate, f.ranking.auc])).toEqual([
      ['x', 1, 1],
      ['y', 1, 1],
    ]);
  });

  test('first layer alone does not see the proof', () => {
    const blind = classifyNominal([...calibration, trace(0.9, { ...attack, name: 'proved' }, 1)], {
      ...options,
      features: 'first-layer',
    });
    expect(blind.verdicts.at(-1)!.isFlagged).toBe(false);
  });

  test('an anomalous calibration trace is refused', () => {
    expect(() =>
      classifyNominal(
        [...calibration, trace(0.5, { role: 'calibration', label: 'anomalous' })],
        options,
      ),
    ).toThrow('1 calibration traces are labelled malicious');
  });

  test('features that some evaluation lacks are left out, and that is said', () => {
    const blind = trace(Number.NaN, { name: 'from text' });
    const all = [...calibration, blind];
    const wanted = { ...options, features: 'nll,mispredictionRate' };
    expect(classifyNominal(all, wanted).leftOut).toEqual(['nll']);
    expect(() => classifyNominal(all, { ...options, features: 'nll' })).toThrow(
      'none of the chosen features is in every evaluation: nll',
    );
  });

  test('too few calibration traces are refused', () => {
    expect(() => classifyNominal(calibration, { ...options, fpr: 0.01 })).toThrow('takes 99');
  });
});

describe.each([
  'all',
  'first-layer',
  'calls',
  'classic',
  'nll,worst-nll-5,evidence-return-mismatch',
])('calibration with the features %s', (features) => {
  test('keeps its promise over random splits', () => {
    const random = new Random(9);
    const pool = Array.from({ length: 100 }, (_, i) =>
      trace(random.uniform() ** 3, { name: `n${i}` }, random.uniform() < 0.05 ? 1 : 0),
    );
    const calibrating = { role: 'calibration' } as const;
    const tested = { role: 'test', label: 'unknown' } as const;
    let flagged = 0;
    let judged = 0;
    for (let split = 0; split < 200; split++) {
      random.shuffle(pool);
      const traces = pool.map((item, i) => ({
        ...item,
        // No label: what is tested for a shift are nominal ones, and that is another test.
        sample: { ...item.sample, ...(i < 50 ? calibrating : tested) },
      }));
      const { verdicts } = classifyNominal(traces, { fpr: 0.1, features, seed: 1 });
      const held = verdicts.filter(({ sample }) => sample.role === 'test');
      flagged += held.filter(({ isFlagged }) => isFlagged).length;
      judged += held.length;
    }
    // The expectation is k / (n + 1) = 5 / 51; one split varies by about 0.06.
    expect(flagged / judged).toBeLessThan(5 / 51 + 0.015);
    // Scores with many ties flag less; none flag nothing.
    expect(flagged).toBeGreaterThan(0);
  });
});

describe('standardized suspicion', () => {
  test('does not depend on the order of the traces', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 99 }), fc.nat(2)), {
          minLength: 3,
          maxLength: 12,
        }),
        fc.nat(),
        (list, seed) => {
          const names = ['nll', 'mispredictionRate', 'evidence-return-mismatch'] as const;
          const traces = list.map(([p, proofs]) => trace(p / 100, {}, proofs));
          const scores = new Map(
            standardizedSuspicion(traces, names).map(({ score }, i) => [traces[i], score]),
          );
          const shuffled = new Random(seed).shuffle([...traces]);
          const again = standardizedSuspicion(shuffled, names).map(({ score }) => score);
          expect(again).toEqual(shuffled.map((item) => scores.get(item)));
        },
      ),
      { numRuns: 100, seed: 10 },
    );
  });
});

describe('shift check', () => {
  const random = new Random(11);
  const draw = (n: number, shift: number): number[] =>
    Array.from({ length: n }, () => random.normal() + shift);

  test('finds a shift and says nothing of none', () => {
    expect(shiftCheck(draw(100, 0), draw(30, 1.5), 1).verdict).toBe('shifted');
    expect(shiftCheck(draw(100, 0), draw(30, 0), 1).verdict).toBe('no shift found');
    expect(shiftCheck(draw(100, 0), draw(4, 9), 1).verdict).toBe('too few traces to say');
  });

  test('of equal distributions is significant no oftener than it says', () => {
    let significant = 0;
    for (let i = 0; i < 60; i++) {
      if (shiftCheck(draw(20, 0), draw(10, 0), i).pValue <= 0.1) significant++;
    }
    expect(significant).toBeLessThan(14);
  });
});
