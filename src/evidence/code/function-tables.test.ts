import { describe, expect, test } from 'vitest';
import { Random } from '../../base/random.ts';
import { findFunctionTables, isFunctionName, type TableSources } from './function-tables.ts';
import type { Binding } from './tables/image-tables.ts';

const code = 0x1000;
const word = 8;

/** Where a table begins, asked of each place by itself, as it is defined: the judge of what is found at once. */
function plainly({ tables, memory, references }: TableSources) {
  const kindAt = (place: number): 'function' | 'data' | undefined => {
    const index = tables.pointers.places.indexOf(place);
    if (index >= 0) return memory.isCode(tables.pointers.targets[index]!) ? 'function' : 'data';
    const binding = tables.bindings.get(place);
    if (binding?.kind !== 'name') return undefined;
    return isFunctionName(binding) ? 'function' : 'data';
  };
  return {
    isBeginning(place: number): boolean {
      if (references.data.includes(place)) return true;
      const kind = kindAt(place);
      const before = kindAt(place - word);
      if (kind === 'function') return before !== 'function';
      const isNone = kind === undefined && memory.word(place, 64) === 0;
      return isNone && before === 'data' && kindAt(place - 2 * word) === undefined;
    },
    isVirtual: (place: number): boolean =>
      kindAt(place - word) === 'data' && kindAt(place - 2 * word) === undefined,
  };
}

/** Data of a few words, in which anything may stand anywhere, mostly where words do. */
function someData(random: Random): TableSources {
  const place = (): number => word * random.below(24) + (random.below(8) === 0 ? 4 : 0);
  const pointers = new Map<number, number>();
  const bindings = new Map<number, Binding>();
  const words = new Map<number, number>();
  for (let i = random.below(20); i > 0; i--) pointers.set(place(), code * random.below(2));
  for (let i = random.below(12); i > 0; i--) {
    const isData = random.below(3) === 0 ? { isData: true as const } : {};
    const named: Binding = { kind: 'name', name: `f${i}`, ...isData };
    bindings.set(place(), random.below(4) === 0 ? { kind: 'resolver', address: code } : named);
  }
  for (let i = random.below(20); i > 0; i--) words.set(place(), random.below(2));
  const places = Float64Array.from(pointers.keys()).sort();
  return {
    tables: {
      bits: 64,
      bindings,
      pointers: { places, targets: places.map((at) => pointers.get(at) ?? 0) },
    },
    memory: { isCode: (address) => address >= code, word: (at) => words.get(at) },
    references: { data: Float64Array.from({ length: random.below(4) }, place).sort() },
  };
}

describe('tables of functions', () => {
  test('begin where each place by itself says so', () => {
    const random = new Random(5);
    for (let round = 0; round < 500; round++) {
      const data = someData(random);
      const { isBeginning, isVirtual } = plainly(data);
      const found = findFunctionTables(data);
      const all = Array.from({ length: 27 * word }, (_, i) => i - word);
      expect([...found.beginnings]).toEqual(all.filter(isBeginning));
      expect([...found.isVirtual]).toEqual(
        [...found.beginnings].map((place) => (isVirtual(place) ? 1 : 0)),
      );
    }
  });

  test('hold functions of the image and of others by name, by ascending place', () => {
    const { functions, names } = findFunctionTables({
      tables: {
        bits: 64,
        pointers: {
          places: Float64Array.of(8, 16, 40),
          targets: Float64Array.of(code, 0, code + 4),
        },
        bindings: new Map<number, Binding>([
          [64, { kind: 'name', name: 'second' }],
          [56, { kind: 'name', name: 'first' }],
          [72, { kind: 'name', name: 'data', isData: true }],
        ]),
      },
      memory: { isCode: (address) => address >= code, word: () => undefined },
      references: { data: new Float64Array(0) },
    });
    expect([...functions.places]).toEqual([8, 40]);
    expect([...functions.targets]).toEqual([code, code + 4]);
    expect([...names.places]).toEqual([56, 64]);
    expect(names.names).toEqual(['first', 'second']);
  });
});
