import { expect, test } from 'vitest';
import { historyWith, type Measured, tableOf } from '../bench/table.ts';

const decode: Measured = {
  name: 'decode',
  failed: false,
  seconds: 2,
  isTooBusy: true,
  figures: [
    {
      ...{ name: 'warm', value: 150.4, unit: 'M/s', goal: { least: 7.5 } },
      peer: { name: 'libipt', value: 25 },
    },
    { name: 'start', value: 1.25, unit: 'ms', goal: { most: 3 } },
  ],
};

test('a row says the ratio to the peer and whether the goal is reached', () => {
  const rows = tableOf([decode]).split('\n').slice(2);
  expect(rows).toEqual([
    '| decode (busy machine) | warm | 150 M/s | libipt: 25.0 | 6.02 | >= 7.5: missed |',
    '|  | start | 1.25 ms |  |  | <= 3 |',
  ]);
});

test('what failed, and what measured nothing, has a row', () => {
  const empty = { ...decode, isTooBusy: false, figures: [] };
  expect(tableOf([{ ...empty, failed: true }])).toContain('| decode | failed |');
  expect(tableOf([empty])).toContain('| decode | nothing measured |');
});

test('the newest table stands first in the history, and what is older stays', () => {
  const once = historyWith('# Measurements\n\ntext\n', 'machine 1', 'table 1');
  const twice = historyWith(once, 'machine 2', 'table 2');
  expect(twice).toBe(
    '# Measurements\n\ntext\n\n## History\n\n**machine 2**\n\ntable 2\n\n**machine 1**\n\ntable 1\n',
  );
});
