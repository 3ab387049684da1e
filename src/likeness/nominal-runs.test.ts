import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { BlockTable } from '../flow/blocks.ts';
import { FirstArrivals } from './first-arrivals.ts';
import { compareWithNominal } from './nominal-comparison.ts';
import { type NominalBehaviour, NominalRuns, type PlaceColumns } from './nominal-runs.ts';

const columns = (offsets: readonly number[]): PlaceColumns => ({
  modules: ['m'],
  module: new Int32Array(offsets.length),
  offset: Float64Array.from(offsets),
});

/** A run of blocks of one module, each of whose steps is a transfer that the code does not say. */
function behaviour(name: string, path: readonly number[]): NominalBehaviour {
  const places = [...new Set(path)];
  const ids = path.map((offset) => places.indexOf(offset));
  const transfers = {
    places: columns(places),
    site: Int32Array.from(ids.slice(0, -1)),
    target: Int32Array.from(ids.slice(1)),
  };
  return { name, blocks: [columns(places)], transfers };
}

function tableOf(offsets: readonly number[]): BlockTable {
  const none = new Int32Array(offsets.length);
  return {
    length: offsets.length,
    modules: [{ name: 'm', path: 'm', base: 0 }],
    ...{ module: none, offset: Float64Array.from(offsets), lastInstruction: none, size: none },
    ...{ instructions: none, kind: new Uint8Array(offsets.length) },
  };
}

const path = fc.array(fc.nat(12), { minLength: 1, maxLength: 20 });

test('counts, nearest run and partings are what sets and plain loops say', () => {
  fc.assert(
    fc.property(fc.array(path, { minLength: 1, maxLength: 6 }), path, (nominal, own) => {
      const runs = new NominalRuns();
      for (const [i, each] of nominal.entries()) runs.add(behaviour(`n${i}`, each));
      const distinct = [...new Set(own)];
      const arrivals = new FirstArrivals();
      for (const [i, offset] of own.entries()) {
        const entries = Int32Array.of(distinct.indexOf(offset));
        arrivals.push({ entries, length: 1, traceOffset: i, time: undefined });
      }
      const found = compareWithNominal(tableOf(distinct), arrivals, runs)!;
      const similarity = (each: readonly number[]): number =>
        distinct.filter((o) => each.includes(o)).length / new Set([...distinct, ...each]).size;
      const best = Math.max(...nominal.map(similarity));
      expect(found.nearest.similarity).toBeCloseTo(best);
      const index = nominal.findIndex((each) => similarity(each) === best);
      expect(found.nearest.name).toBe(`n${index}`);
      const near = nominal[index]!;
      const isNew = (offset: number): boolean => !near.includes(offset);
      expect(found.onlyHere).toBe(distinct.filter(isNew).length);
      expect(found.nearest.onlyThere).toBe(
        [...new Set(near)].filter((offset) => !own.includes(offset)).length,
      );
      const firsts = own.flatMap((offset, i) =>
        i > 0 && own.indexOf(offset) === i && isNew(offset) && !isNew(own[i - 1]!) ? [i] : [],
      );
      expect(found.partings.map(({ position }) => position)).toEqual(firsts);
      for (const { to, running } of found.partings) {
        expect(running).toBe(nominal.filter((each) => each.includes(to.offset)).length);
      }
      const goes = (each: readonly number[], a: number, b: number): boolean =>
        each.some((offset, i) => offset === a && each[i + 1] === b);
      for (let a = 0; a < 13; a += 4) {
        for (let b = 0; b < 13; b += 3) {
          expect(runs.going({ module: 'm', offset: a }, { module: 'm', offset: b })).toBe(
            nominal.filter((each) => goes(each, a, b)).length,
          );
        }
      }
    }),
    { seed: 1 },
  );
});

test('without nominal runs there is nothing to compare with', () => {
  const arrivals = new FirstArrivals();
  expect(compareWithNominal(tableOf([1]), arrivals, new NominalRuns())).toBeUndefined();
});

test('a block that flow was lost before parts from nothing', () => {
  const runs = new NominalRuns();
  runs.add(behaviour('n', [1, 2]));
  const arrivals = new FirstArrivals();
  arrivals.push({ entries: Int32Array.of(0, -1, 1), length: 3, traceOffset: 0, time: undefined });
  const found = compareWithNominal(tableOf([1, 9]), arrivals, runs)!;
  expect(found.onlyHere).toBe(1);
  expect(found.partings).toEqual([]);
});
