import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Region, RegionTable } from './region-table.ts';

const region: fc.Arbitrary<Region> = fc.record({
  start: fc.integer({ min: -(2 ** 47), max: 2 ** 47 }),
  end: fc.integer({ min: -(2 ** 47), max: 2 ** 47 }),
  path: fc.oneof(fc.constantFrom('', '/a', '/b'), fc.string({ unit: 'grapheme' })),
  fileOffset: fc.option(fc.nat(), { nil: undefined }),
  isExecutable: fc.option(fc.boolean(), { nil: undefined }),
});

test('rows come back as they were put in', () => {
  fc.assert(
    fc.property(fc.array(region, { maxLength: 40 }), (rows) => {
      const table = new RegionTable();
      for (const [i, row] of rows.entries()) table.add(row, i + 1);
      expect([...table]).toEqual(rows);
      expect(table.paths).toEqual([...new Set(rows.map(({ path }) => path))]);
      expect(rows.map((_, i) => table.lineOf(i))).toEqual(rows.map((_, i) => i + 1));
      expect(rows.map((_, i) => table.paths[table.pathOf(i)])).toEqual(
        rows.map(({ path }) => path),
      );
    }),
    { seed: 1 },
  );
});

test('sorted rows keep what belongs to each', () => {
  fc.assert(
    fc.property(fc.array(region, { maxLength: 40 }), (rows) => {
      const sorted = rows.toSorted((a, b) => a.start - b.start || a.end - b.end);
      const table = RegionTable.of(rows).sorted();
      expect([...table]).toEqual(sorted);
      expect(table.paths).toEqual([...new Set(sorted.map(({ path }) => path))]);
      const overlap = sorted.findIndex(
        (row, i) => i > 0 && row.start < (sorted[i - 1]?.end ?? row.start),
      );
      expect(table.firstOverlap()).toBe(overlap);
    }),
    { seed: 2 },
  );
});

test('an address is found in the row that holds it', () => {
  const starts = fc.uniqueArray(fc.integer({ min: -50, max: 50 }), { maxLength: 20 });
  fc.assert(
    fc.property(starts, fc.integer({ min: 1, max: 8 }), (all, size) => {
      const sorted = all.toSorted((a, b) => a - b);
      const rows = sorted.map((start, i) => ({
        ...{ start, end: Math.min(start + size, sorted[i + 1] ?? 100) },
        ...{ path: '', fileOffset: undefined, isExecutable: undefined },
      }));
      const table = RegionTable.of(rows);
      for (let at = -60; at < 60; at++) {
        expect(table.find(at)).toBe(rows.findIndex(({ start, end }) => at >= start && at < end));
      }
    }),
    { seed: 3 },
  );
});

test('a path with half a character is one path all the same', () => {
  const half = { start: 1, end: 2, path: '\ud800', fileOffset: 0, isExecutable: true };
  expect(RegionTable.of([half, half]).paths).toEqual(['\ufffd']);
});
