import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findEntries } from './found-entries.ts';

test('finds marks and blocks of a rank, as a filter does', () => {
  const ranks = Uint8Array.from({ length: 8 }, (_, block) => block);
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -4, max: 7 })),
      fc.integer({ min: 1, max: 8 }),
      (list, least) => {
        const { indexes, count } = findEntries(Int32Array.from(list), list.length, ranks, least);
        const plain = list.flatMap((entry, i) => (entry < 0 || ranks[entry]! >= least ? [i] : []));
        expect([...indexes.subarray(0, count)]).toEqual(plain);
      },
    ),
    { seed: 1 },
  );
});
