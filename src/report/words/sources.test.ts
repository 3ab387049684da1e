import { expect, test } from 'vitest';
import { targetSorts } from '../../evidence/transfer-code.ts';
import { sourcesInWords } from './sources.ts';

const none = { trainedTargets: 0, trainedRuns: 0, shown: 0, nats: 9.34, scaled: 9.34 };

test('three sources are told in one line', () => {
  expect(sourcesInWords({ ...none, sort: 'named', allowed: 14, trainedTargets: 2 })).toBe(
    'one of 14 targets that the code names; training saw 2 targets here, not this one; this run never went there before: 9.3 nats',
  );
  expect(
    sourcesInWords({
      ...{
        sort: 'taken',
        allowed: 2816,
        trainedTargets: 1,
        trainedRuns: 1,
        shown: 8,
        nats: 12,
        scaled: 2.9,
      },
    }),
  ).toBe(
    'one of 2,816 functions whose address is taken; training saw 1 target here, this one in 1 run; this run did 8 times or more before: 12.0 nats, 2.9 at the scale of this place',
  );
});

test('every sort has words of its own', () => {
  const words = targetSorts.map((sort) => sourcesInWords({ ...none, sort, allowed: 3 }));
  expect(new Set(words).size).toBe(targetSorts.length);
});
