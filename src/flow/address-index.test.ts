import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AddressIndex } from './address-index.ts';

test('finds what was added and nothing else, as a Map does', () => {
  const address = fc.oneof(
    fc.integer({ min: -(2 ** 47), max: 2 ** 47 - 1 }),
    fc.integer({ min: 0x401000, max: 0x401fff }),
  );
  fc.assert(
    fc.property(fc.array(address, { maxLength: 3000 }), fc.array(address), (added, asked) => {
      const index = new AddressIndex();
      const map = new Map<number, number>();
      for (const each of added) {
        if (map.has(each)) continue;
        index.add(each, map.size);
        map.set(each, map.size);
      }
      for (const each of [...added, ...asked]) expect(index.get(each)).toBe(map.get(each) ?? -1);
    }),
    { numRuns: 50, seed: 1 },
  );
});
