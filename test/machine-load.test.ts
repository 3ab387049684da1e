import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { othersShare, parseLoad, readLoad } from '../bench/machine-load.ts';

const stat = (...ticks: number[]) => `cpu  ${ticks.join(' ')} 77 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n`;
const self = (...ticks: number[]) => `7 (a) b) R 1 1 1 0 -1 4194304 1 2 3 4 ${ticks.join(' ')} 20`;

test('what others took is what was busy and not ours', () => {
  const before = parseLoad(stat(100, 10, 20, 1000, 5, 1, 2, 3), self(10, 1, 4, 2));
  const after = parseLoad(stat(160, 20, 30, 1100, 15, 1, 2, 13), self(40, 6, 14, 7));
  expect(before).toEqual({ all: 1141, busy: 136, own: 17 });
  // 200 ticks went by, 90 of them busy, 50 of these ours.
  expect(othersShare(before, after)).toBeCloseTo(40 / 200);
});

test('work of children that have ended is ours', () => {
  const before = readLoad();
  execFileSync(process.execPath, ['-e', 'const end = Date.now() + 300; while (Date.now() < end);']);
  const after = readLoad();
  expect(after!.own - before!.own).toBeGreaterThan(5);
});
