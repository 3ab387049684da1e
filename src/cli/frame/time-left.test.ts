import { expect, test } from 'vitest';
import { timeLeft } from './time-left.ts';

test.each([
  [10, 1, 5, 'about 40 s left'],
  [10, 9, 10, 'about 1 s left'],
  [2, 1, 1000, 'about 33 min left'],
  [60, 1, 400, 'about 6.7 h left'],
])('%d s for %d of %d: %s', (seconds, done, total, words) => {
  expect(timeLeft(seconds, done, total)).toBe(words);
});

test('nothing is said before anything is known, or when all is done', () => {
  expect(timeLeft(0.5, 1, 10)).toBe('');
  expect(timeLeft(10, 0, 10)).toBe('');
  expect(timeLeft(10, 3, 0)).toBe('');
  expect(timeLeft(10, 10, 10)).toBe('');
});
