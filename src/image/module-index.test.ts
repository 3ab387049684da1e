import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ModuleIndex } from './module-index.ts';

test('numbers are given in the order in which modules are first seen', () => {
  const base = fc.oneof(
    fc.integer({ min: -3, max: 3 }).map((n) => n * 0x1000),
    fc.integer({ min: -(2 ** 47), max: 2 ** 47 }),
  );
  const pair = fc.tuple(fc.integer({ min: 0, max: 3 }), base);
  fc.assert(
    fc.property(fc.array(pair, { maxLength: 300 }), (pairs) => {
      const index = new ModuleIndex();
      const plain = new Map<string, number>();
      for (const [file, at] of pairs) {
        const key = `${file} ${at}`;
        const expected = plain.get(key) ?? plain.size;
        plain.set(key, expected);
        expect(index.numberOf(file, at)).toBe(expected);
      }
    }),
    { seed: 1 },
  );
});
