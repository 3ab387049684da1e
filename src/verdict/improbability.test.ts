import { describe, expect, test } from 'vitest';
import { Random } from '../base/random.ts';
import { classifyNominal, nominalDecision } from './classify-nominal.ts';
import { featureNames, surpriseName } from './features/feature-table.ts';
import type { TraceFeatures } from './features/features.ts';
import { surpriseLengths } from './features/worst-window.ts';
import {
  exchanged,
  improbability,
  improbabilityScore,
  natsOf,
  referenceOf,
  type SurpriseReference,
} from './improbability.ts';

function trace(...nats: readonly number[]): TraceFeatures {
  const values = new Float64Array(featureNames.length);
  surpriseLengths.forEach((length, i) => {
    values[featureNames.indexOf(surpriseName(length))] = nats[i] ?? nats.at(-1)!;
  });
  const sample = {
    ...{ name: 'a', directory: '/a', file: 'a', family: undefined },
    ...{ label: 'nominal' as const, role: 'test' as const },
  };
  return { sample, model: 'm', values };
}

/** Runs whose surprises are these on every scale. */
function sortedNats(...nats: readonly number[]): SurpriseReference[number] {
  return referenceOf(nats.map((each) => trace(each)))[0]!;
}

describe('how improbable a run is', () => {
  test('is the share of nominal runs that reach as far, as a logarithm', () => {
    const sorted = sortedNats(1, 2, 3, 4);
    expect(natsOf(4, sorted)).toBeCloseTo(Math.log(5));
    expect(natsOf(3, sorted)).toBeCloseTo(Math.log(5 / 2));
    expect(natsOf(1, sorted)).toBeCloseTo(Math.log(5 / 4));
  });

  test('is not more where all nominal runs are alike', () => {
    expect(natsOf(0, sortedNats(0, 0, 0))).toBe(0);
    expect(natsOf(2, sortedNats(0, 0, 0))).toBeCloseTo(2 + Math.log(4 / 3));
    expect(natsOf(7, sortedNats(1, 7, 7))).toBeCloseTo(Math.log(4 / 2));
    expect(natsOf(4, sortedNats(1, 7, 7))).toBeCloseTo((Math.log(4 / 3) + Math.log(4 / 2)) / 2);
  });

  test('grows with the surprise, nat for nat beyond all nominal runs', () => {
    const sorted = sortedNats(0, 0, 1, 5);
    let before = Number.NEGATIVE_INFINITY;
    for (let value = 0; value < 9; value += 0.25) {
      const nats = natsOf(value, sorted);
      expect(nats).toBeGreaterThanOrEqual(before);
      before = nats;
    }
    expect(natsOf(12, sorted) - natsOf(9, sorted)).toBeCloseTo(3);
  });

  test('is that of the most improbable scale', () => {
    const reference = referenceOf([trace(2, 3), trace(4, 6), trace(3, 4)]);
    const { score, reasons } = improbability(trace(2, 30), reference);
    expect(reasons[0]!.feature).not.toBe(surpriseName(1));
    expect(score).toBeCloseTo(Math.log(4) + 24);
  });

  test('never makes a run less suspicious that goes on, whose largest surprises only grow', () => {
    const random = new Random(6);
    for (let round = 0; round < 100; round++) {
      const draw = (): number[] => surpriseLengths.map(() => random.below(6));
      const calibration = Array.from({ length: 1 + random.below(30) }, () => ({
        ...trace(...draw()),
        isLeftOut: true,
      }));
      const decide = nominalDecision(calibration, 0.5);
      const nats = draw();
      let before = decide(trace(...nats)).pValue;
      for (let step = 0; step < 8; step++) {
        nats[random.below(nats.length)]! += random.below(3);
        const { pValue } = decide(trace(...nats));
        expect(pValue).toBeLessThanOrEqual(before);
        before = pValue;
      }
    }
  });

  test('of an exchanged reference is that of one made anew', () => {
    const random = new Random(5);
    const listOf = (reference: SurpriseReference): number[][] =>
      reference.map((sorted) => Array.from({ length: sorted.length }, (_, i) => sorted.at(i)));
    for (let round = 0; round < 200; round++) {
      const traces = Array.from({ length: 1 + random.below(6) }, () => trace(random.below(4)));
      const put = trace(random.below(5));
      const out = random.below(traces.length);
      const made = referenceOf([...traces.filter((_, i) => i !== out), put]);
      const found = exchanged(referenceOf(traces), traces[out]!, put);
      expect(listOf(found)).toEqual(listOf(made));
      for (let value = -1; value < 6; value += 0.5) {
        expect(found.map((sorted) => sorted.below(value))).toEqual(
          made.map((sorted) => sorted.below(value)),
        );
      }
      const judged = trace(random.below(5), random.below(5));
      expect(improbabilityScore(judged, found)).toBe(improbability(judged, made).score);
    }
  });
});

describe('where nominal runs hardly surprise', () => {
  const calibration = Array.from({ length: 39 }, (_, i) => ({
    ...trace(i / 39),
    isLeftOut: true as const,
  }));
  const at = (fpr: number, nats: number) => nominalDecision(calibration, fpr)(trace(nats));

  test('no run is an alarm at a rate at which the model itself expects its worst place', () => {
    expect(at(0.05, 1.6)).toMatchObject({ isFlagged: false, pValue: Math.exp(-1.6) });
    expect(at(0.05, 2.9).isFlagged).toBe(false);
    // Beyond that, the rank among nominal runs decides.
    expect(at(0.05, 3.1)).toMatchObject({ isFlagged: true, pValue: Math.exp(-3.1) });
    expect(at(0.05, 9)).toMatchObject({ isFlagged: true, pValue: 1 / 40 });
    expect(at(0.2, 1.6)).toMatchObject({ isFlagged: false });
    expect(at(0.21, 1.6)).toMatchObject({ isFlagged: true });
  });

  test('the threshold is still the score that a flagged run exceeds', () => {
    const runs = Array.from({ length: 40 }, (_, i) => trace(i / 8));
    for (const fpr of [0.05, 0.1, 0.3]) {
      const options = { fpr, features: 'all', seed: 1 };
      const { verdicts, threshold } = classifyNominal([...calibration, ...runs], options);
      for (const verdict of verdicts.slice(calibration.length)) {
        expect(verdict.isFlagged).toBe(verdict.score > threshold);
      }
    }
  });
});
