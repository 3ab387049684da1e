import { expect, test } from 'vitest';
import { inUnits } from './unit.ts';

test.each([
  ['Unknown\nblocks', 'Unknown\ncalls'],
  ['Block', 'Call'],
  ['The 5 most surprising transfers in a row', 'The 5 most surprising steps in a row'],
  [
    '4 transfers never seen in training within 4 blocks.',
    '4 steps never seen in training within 4 calls.',
  ],
  ['Known code led straight into code', 'Known calls led straight into calls'],
  ['blocked, transferred, coded', 'blocked, transferred, coded'],
])('%j is %j of calls', (text, ofCalls) => {
  expect(inUnits(text, 'call')).toBe(ofCalls);
  expect(inUnits(text, 'block')).toBe(text);
});
