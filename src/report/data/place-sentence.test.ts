import { expect, test } from 'vitest';
import { placeSentence } from './place-sentence.ts';
import type { ReportTransfer } from './report-data.ts';

const transfer: ReportTransfer = {
  ...{ position: 1, isInside: true, from: 'a!f', came: 'b!g', expected: 'c!h' },
  ...{ expectedProbability: 0.9, cameProbability: 0.5, isCorrect: false, isUnknown: true },
  evidence: undefined,
};

function sentenceOf(...transfers: readonly Partial<ReportTransfer>[]): string | undefined {
  const patch = {
    ...{ firstBlock: 1, lastBlock: 2, traceOffset: undefined, time: undefined, score: 1 },
    ...{ modules: [], before: undefined, inside: 'a!f', after: undefined, listing: [] },
    transfers: transfers.map((each) => ({ ...transfer, ...each })),
  };
  return placeSentence({ patches: [patch] });
}

test('where histories predicted, the most surprising transfer is told with what its sources said', () => {
  expect(
    sentenceOf(
      { surprise: 2, sources: 'small', evidence: 'return-mismatch' },
      { surprise: 9, sources: 'one of 14 targets that the code names: 9.3 nats', came: 'd!k' },
    ),
  ).toBe(
    'improbable transfer: a!f to d!k, expected c!h (one of 14 targets that the code names: 9.3 nats)',
  );
});

test('where windows predicted, a proof comes before what is improbable', () => {
  expect(sentenceOf({ cameProbability: 0.001 }, { evidence: 'return-mismatch', from: '' })).toMatch(
    /^return .* unknown code to b!g, expected c!h$/,
  );
  expect(sentenceOf({ cameProbability: 0.001 }, {})).toBe(
    'improbable transfer: a!f to b!g, expected c!h (6.9 nats)',
  );
});
