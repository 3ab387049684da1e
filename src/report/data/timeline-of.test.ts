import fc from 'fast-check';
import { expect, test } from 'vitest';
import { exampleEvaluation } from '../../../test/example-evaluation.ts';
import { timelineOf } from './timeline-of.ts';

const right = { predicted: 3, actual: 3, confidence: 0.9 };
const wrong = { predicted: 3, actual: 4, confidence: 1 };

test('bins add up to the whole trace', () => {
  fc.assert(
    fc.property(
      fc.array(fc.boolean(), { minLength: 1, maxLength: 400 }),
      fc.array(fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 30 })), { maxLength: 8 }),
      fc.integer({ min: 1, max: 90 }),
      (hits, gaps, bins) => {
        const occurrences = hits.map(Number);
        // Runs in order that do not touch, inside the trace.
        const blocks = 4 * hits.length + 100;
        const unknownRuns: number[] = [];
        let at = 0;
        for (const [space, length] of gaps) {
          at += space + 1;
          if (at + length > blocks) break;
          unknownRuns.push(at, length);
          at += length;
        }
        const evaluation = exampleEvaluation([right, wrong], { occurrences, unknownRuns });
        const { lanes } = timelineOf(
          { ...evaluation, trace: { ...evaluation.trace, blocks } },
          bins,
        );
        const [predictions, unknown] = lanes;
        const unknownTotal = Array.from(unknown!.mean).reduce((a, b) => a + b, 0);
        const expected = unknownRuns.reduce((sum, x, i) => (i % 2 === 1 ? sum + x : sum), 0);
        // A bin's share is capped at 1, and bins of unequal length differ by a block at most.
        expect(Math.abs((unknownTotal * blocks) / unknown!.mean.length - expected)).toBeLessThan(
          2 + unknown!.mean.length,
        );
        const any = occurrences.some((x) => x === 1);
        expect(Array.from(predictions!.mean).some((x) => x > 0)).toBe(any);
        for (const x of Array.from(predictions!.mean))
          expect(Number.isNaN(x) || (x >= 0 && x <= 1)).toBe(true);
      },
    ),
    { seed: 4, numRuns: 200 },
  );
});

test('a short burst shows as a peak where its mean does not', () => {
  const occurrences = Array.from({ length: 10_000 }, (_, i) => (i >= 7000 && i < 7010 ? 1 : 0));
  const { lanes } = timelineOf(exampleEvaluation([right, wrong], { occurrences }), 10);
  const [lane] = lanes;
  expect(lane!.peak![6]! + lane!.peak![7]!).toBeGreaterThan(0.99);
  expect(Math.max(...Array.from(lane!.mean))).toBeLessThan(0.02);
  expect(lane!.peak![2]).toBe(0);
});

test('bins without transfers have no rate', () => {
  const { lanes } = timelineOf(exampleEvaluation([right]), 50);
  expect(Number.isNaN(lanes[0]!.mean[49]!)).toBe(true);
  expect(lanes[0]!.mean[0]).toBe(0);
});
