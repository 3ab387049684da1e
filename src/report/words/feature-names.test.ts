import { describe, expect, test } from 'vitest';
import { evidenceKinds } from '../../evidence/rules.ts';
import { featureTable } from '../../verdict/features/feature-table.ts';
import { evidenceOrder } from './evidence-names.ts';
import { featureSentence, featureTitle } from './feature-names.ts';

test('no kind of evidence is left out where reports list them', () => {
  expect([...evidenceOrder].sort()).toEqual([...evidenceKinds].sort());
});

describe('features', () => {
  test('each has a title of its own, and none is called what files call it', () => {
    const titles = featureTable.map(({ name }) => featureTitle(name));
    expect(new Set(titles).size).toBe(featureTable.length);
    const raw = featureTable.filter(
      ({ name }, i) => titles[i] === name || titles[i]?.includes(`: ${name}`),
    );
    expect(raw.map(({ name }) => name)).toEqual(['blocks', 'gaps', 'overflows']);
  });

  test.each([
    ['mispredictionRate', 0.25, 'Misprediction rate: 25.0\u202f%.'],
    ['nll', 0.25, 'Mean surprise (nats): 0.2500.'],
    ['worst-unseen-10', 0.5, 'Transfers never seen in training, worst 10 in a row: 50.0\u202f%.'],
    ['worst-nll-5', 3, 'The 5 most surprising transfers in a row: 3 nats each on average.'],
    ['crowded-unseen-4', 2, '2 transfers never seen in training within 4 blocks.'],
    ['surprise-1', 9, 'Surprise of the most surprising transfer: 9 nats.'],
    ['evidence-return-mismatch', 1, 'One return that did not go to its call.'],
    ['evidence-usual-oddity', 2, '2 transfers that the code does not explain, as in nominal runs.'],
    ['of another release', 2, 'Of another release: 2.'],
  ])('%s, %d', (name, value, sentence) => {
    expect(featureSentence(name, value)).toBe(sentence);
  });
});
