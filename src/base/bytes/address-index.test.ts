import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AddressIndex } from './address-index.ts';

test('finds what was added and nothing else, as a Map does', () => {
  const address = fc.tuple(
    fc.oneof(fc.integer(), fc.integer({ min: 0x401000, max: 0x401fff })),
    fc.integer({ min: -3, max: 3 }),
  );
  fc.assert(
    fc.property(fc.array(address, { maxLength: 3000 }), fc.array(address), (added, asked) => {
      const index = new AddressIndex();
      const map = new Map<string, number>();
      for (const [low, high] of added) {
        if (map.has(`${low} ${high}`)) continue;
        index.add(low, high, map.size);
        map.set(`${low} ${high}`, map.size);
      }
      for (const [low, high] of [...added, ...asked]) {
        expect(index.get(low, high)).toBe(map.get(`${low} ${high}`) ?? -1);
      }
    }),
    { numRuns: 50, seed: 1 },
  );
});
