import { expect, test } from 'vitest';
import { Random } from '../base/random.ts';
import { standingOut } from './unlike.ts';

/** Scores of harmless runs: an exponential tail, of any unit. */
function harmless(random: Random, count: number, unit: number): number[] {
  return Array.from({ length: count }, () => -unit * Math.log(1 - random.uniform()));
}

const descending = (scores: readonly number[]): number[] => [...scores].sort((a, b) => b - a);

test('harmless runs stand out in one list of twenty at most, whatever the unit', () => {
  const random = new Random(7);
  for (const unit of [0.01, 1, 300]) {
    const lists = 2000;
    let named = 0;
    for (let i = 0; i < lists; i++) {
      if (standingOut(descending(harmless(random, 45, unit))) > 0) named++;
    }
    // 0.05 allowed; by the binomial distribution 0.065 would be a fault.
    expect(named / lists).toBeLessThan(0.065);
    expect(named / lists).toBeGreaterThan(0.005);
  }
});

test('one that is far from all others stands out, and so do several that are alike', () => {
  const random = new Random(3);
  for (const attacks of [1, 2, 3, 4]) {
    let found = 0;
    for (let i = 0; i < 200; i++) {
      const scores = harmless(random, 45, 1);
      for (let j = 0; j < attacks; j++) scores.push(25 + 0.3 * random.uniform());
      if (standingOut(descending(scores)) === attacks) found++;
    }
    expect(found).toBeGreaterThan(180);
  }
});

test.each([
  ['none', []],
  ['one', [3]],
  ['a few', [9, 1, 1, 1, 1]],
  ['equal ones', new Array(40).fill(2)],
])('of %s nobody stands out', (_, scores) => {
  expect(standingOut(scores)).toBe(0);
});

test('one among equal ones stands out', () => {
  expect(standingOut([2.5, ...new Array(40).fill(2)])).toBe(1);
});
