import { expect, test } from 'vitest';
import { appendAll } from './append.ts';

test('more items than a call has arguments can be added to a list', () => {
  const list = [1];
  appendAll(
    list,
    Array.from({ length: 1_000_000 }, (_, i) => i),
  );
  expect(list).toHaveLength(1_000_001);
  expect(list.at(-1)).toBe(999_999);
});
