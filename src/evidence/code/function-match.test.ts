import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FunctionIdentity } from './function-identity.ts';
import { FunctionMatch, newCode } from './function-match.ts';

const one = (start: number, size: number, id: string, name?: string): FunctionIdentity => ({
  ...{ start, size, id, name },
});

describe('functions of two builds', () => {
  const before = [one(0x10, 0x20, 'a'), one(0x30, 0x10, 'b', 'f'), one(0x40, 8, 'c')];
  const now = [
    one(0x10, 0x28, 'x'),
    one(0x40, 0x20, 'a'),
    one(0x60, 0x30, 'y', 'f'),
    one(0x90, 8, 'c'),
  ];
  const match = new FunctionMatch(before, now);

  test.each([
    ['the same function moved', 0x40, 0x10],
    ['inside it', 0x5f, 0x2f],
    ['another one', 0x93, 0x43],
    ['the entry of one that changed and kept its name', 0x60, 0x30],
    ['the rest of it', 0x61, newCode + 0x61],
    ['a new one where an old one was', 0x10, newCode + 0x10],
    ['behind all', 0x98, newCode + 0x98],
  ])('%s', (_, offset, expected) => {
    expect(match.offsetBefore(offset)).toBe(expected);
  });

  test('are counted', () => {
    expect([match.same, match.changed]).toEqual([2, 1]);
  });

  test('with the same code are paired in order where there are as many, and else where they stayed', () => {
    const twins = [one(0, 4, 'a'), one(8, 4, 'a')];
    const moved = new FunctionMatch(twins, [one(16, 4, 'a'), one(32, 4, 'a')]);
    expect([moved.offsetBefore(16), moved.offsetBefore(33)]).toEqual([0, 9]);
    const more = new FunctionMatch(twins, [one(8, 4, 'a'), one(16, 4, 'a'), one(32, 4, 'a')]);
    expect([8, 16, 32].map((at) => more.offsetBefore(at))).toEqual([8, newCode + 16, newCode + 32]);
  });

  test('that are twins are told apart by those that do not matter, and by their names', () => {
    const ran = [one(8, 4, 'a'), one(24, 4, 'b', 'f')];
    const later = [
      one(4, 4, 'a'),
      one(12, 4, 'a'),
      one(20, 4, 'a'),
      one(28, 4, 'b', 'f'),
      one(32, 4, 'b'),
    ];
    const alone = new FunctionMatch(ran, later);
    expect([4, 12, 20].map((at) => alone.offsetBefore(at) >= newCode)).toEqual([true, true, true]);
    const known = new FunctionMatch(ran, later, [one(0, 4, 'a'), one(16, 4, 'a')]);
    expect([4, 12, 20, 28].map((at) => known.offsetBefore(at))).toEqual([
      ...[newCode + 4, 8, newCode + 20, 24],
    ]);
    expect([known.same, known.changed]).toEqual([2, 0]);
  });

  test('give no place twice', () => {
    const functions = fc
      .array(fc.record({ size: fc.integer({ min: 1, max: 9 }), id: fc.nat(5) }), { maxLength: 12 })
      .map((list) => {
        let start = 0;
        return list.map(({ size, id }) => {
          start += 10;
          return one(start, size, `${id}-${size}`);
        });
      });
    fc.assert(
      fc.property(functions, functions, fc.nat(12), (earlier, later, ran) => {
        const pairs = new FunctionMatch(earlier.slice(0, ran), later, earlier.slice(ran));
        const names = Array.from({ length: 150 }, (_, offset) => pairs.offsetBefore(offset));
        expect(new Set(names).size).toBe(names.length);
      }),
      { seed: 1 },
    );
  });
});
