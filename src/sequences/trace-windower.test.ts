import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BlockTable } from '../flow/blocks.ts';
import type { Mark } from '../flow/mark.ts';
import { Transfer } from '../x86/transfer.ts';
import { defaultFilter, filterTable } from './filter.ts';
import { SymbolTable, threadStart } from './symbol-table.ts';
import { TraceWindower } from './trace-windower.ts';
import { WindowCounter } from './window-counter.ts';

const gap = -1;
const async = -2;
const marks: readonly Mark[] = [
  { kind: 'gap', reason: 'overflow', traceOffset: 0, address: undefined, bytesLost: 0 },
  { kind: 'async', traceOffset: 0, from: 0, to: 0 },
];
const kinds = [
  Transfer.ret,
  Transfer.jcc,
  Transfer.icall,
  Transfer.jmp,
  Transfer.ijmp,
  Transfer.call,
];

/** Blocks 0..n-1 of one module; block i ends in `kinds[i % 6]`. */
function tableOf(length: number): BlockTable {
  const zeros = new Int32Array(length);
  return {
    length,
    modules: [{ path: '/a', name: 'a', base: 0 }],
    module: zeros,
    offset: Float64Array.from({ length }, (_, i) => i * 16),
    lastInstruction: zeros,
    size: zeros,
    instructions: zeros,
    kind: Uint8Array.from({ length }, (_, i) => kinds[i % 6]),
  };
}

/** The same by the definition, without a trick: every window as a list. */
function plain(entries: readonly number[], n: number): { windows: string[]; positions: number[] } {
  const filter = filterTable(defaultFilter);
  const windows: string[] = [];
  const positions: number[] = [];
  let run: number[] = [];
  let position = -1;
  entries.forEach((entry, i) => {
    if (entry === gap) run = [];
    if (entry < 0) return;
    position++;
    run.push(entry);
    const next = entries[i + 1];
    if (next !== undefined && next >= 0 && run.length >= n && filter[kinds[entry % 6]]) {
      windows.push([...run.slice(-n), next].join(' '));
      positions.push(position);
    }
  });
  return { windows, positions };
}

function count(
  entries: readonly number[],
  n: number,
  cuts: readonly number[] = [],
  knownSymbols?: number,
) {
  const counter = new WindowCounter(n);
  const windower = new TraceWindower({
    counter,
    table: new SymbolTable(),
    blocks: tableOf(24),
    marks,
    filter: filterTable(defaultFilter),
    record: true,
    ...(knownSymbols === undefined ? {} : { knownSymbols }),
  });
  let at = 0;
  for (const size of [...cuts, entries.length]) {
    const part = Int32Array.from(entries.slice(at, at + size));
    windower.add({ entries: part, length: part.length, traceOffset: 0, time: undefined });
    at += size;
  }
  return { counter, traced: windower.finish() };
}

const describeWindow = (counter: WindowCounter, index: number): string => {
  const from = index * counter.windowLength;
  const symbols = [...counter.symbols.subarray(from, from + counter.windowLength)];
  return [...symbols, counter.targets[index]].join(' ');
};

const trace = fc.array(
  fc.oneof({ weight: 12, arbitrary: fc.nat(23) }, fc.constantFrom(gap, async)),
  { maxLength: 300 },
);
const length = fc.integer({ min: 1, max: 9 });

describe('windows', () => {
  test('of a trace are those of the definition, in order, with their counts', () => {
    fc.assert(
      fc.property(trace, length, fc.array(fc.nat(50)), (entries, n, cuts) => {
        const expected = plain(entries, n);
        const { counter, traced } = count(entries, n, cuts);
        expect([...traced.occurrences].map((index) => describeWindow(counter, index))).toEqual(
          expected.windows,
        );
        expect([...traced.positions]).toEqual(expected.positions);
        expect(counter.length).toBe(new Set(expected.windows).size);
        for (let index = 0; index < counter.length; index++) {
          const occurred = expected.windows.filter(
            (window) => window === describeWindow(counter, index),
          );
          expect(counter.counts[index]).toBe(occurred.length);
        }
        expect(traced.blocks).toBe(entries.filter((entry) => entry >= 0).length);
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  test('slide through a history that is moved to its front now and then', () => {
    const entries = Array.from({ length: 200_000 }, (_, i) => (i * i) % 23);
    const expected = plain(entries, 5);
    const { counter, traced } = count(entries, 5);
    expect(traced.occurrences.length).toBe(expected.windows.length);
    expect(counter.length).toBe(new Set(expected.windows).size);
  });

  test('of two counters are those of both', () => {
    fc.assert(
      fc.property(trace, trace, length, (a, b, n) => {
        const first = count(a, n).counter;
        const second = count(b, n).counter;
        const occurrences = first.addAll(second);
        const all = [...plain(a, n).windows, ...plain(b, n).windows];
        expect(occurrences).toBe(plain(b, n).windows.length);
        expect(first.length).toBe(new Set(all).size);
        expect(first.counts.subarray(0, first.length).reduce((x, y) => x + y, 0)).toBe(all.length);
      }),
      { numRuns: 100, seed: 2 },
    );
  });

  test('growing tables keep every window', () => {
    const counter = new WindowCounter(2);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 50_000; i++) counter.add(Int32Array.of(i, i + 1), 0, i % 7, i % 3);
    }
    expect(counter.length).toBe(50_000);
    expect(counter.counts.subarray(0, 50_000).every((c) => c === 2)).toBe(true);
  });
});

test('unknown blocks are counted and their runs placed', () => {
  // Symbols are numbered as the trace's table has them: 10 and up are unknown.
  const { traced } = count([1, 12, 13, gap, 14, 2, 20], 2, [3], 10);
  expect(traced.unknownBlocks).toBe(4);
  expect([...traced.unknownRuns]).toEqual([1, 3, 5, 1]);
});

test('from their start, the windows of each thread are filled up with a symbol of its own', () => {
  const lost = -1;
  const next = -2;
  const kinds: readonly Mark[] = [
    { kind: 'gap', reason: 'stored', traceOffset: 0, address: undefined, bytesLost: 0 },
    { kind: 'thread' },
  ];
  const entry = fc.oneof({ weight: 9, arbitrary: fc.nat(5) }, fc.constantFrom(lost, next));
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 200 }), length, fc.nat(99), (entries, n, cut) => {
      // By the definition: S stands before each thread, and nothing is known behind a loss.
      const expected: string[] = [];
      const start = new Array<string>(n).fill('S');
      let run = start;
      entries.forEach((call, i) => {
        if (call === next) run = start;
        if (call === lost) run = [];
        if (call < 0) return;
        run = [...run, String(call)];
        const following = entries[i + 1] ?? lost;
        if (run.length >= n && following >= 0) {
          expected.push([...run.slice(-n), String(following)].join(' '));
        }
      });
      const counter = new WindowCounter(n);
      const table = new SymbolTable();
      const windower = new TraceWindower({
        counter,
        table,
        blocks: tableOf(6),
        marks: kinds,
        filter: filterTable([]).fill(1),
        record: true,
        fromStart: true,
      });
      for (const part of [entries.slice(0, cut), entries.slice(cut)]) {
        const batch = { entries: Int32Array.from(part), traceOffset: 0, time: undefined };
        windower.add({ ...batch, length: part.length });
      }
      const nameOf = (symbol: number): string =>
        table.modules[table.module[symbol]] === threadStart
          ? 'S'
          : String(table.offset[symbol] / 16);
      const found = [...windower.finish().occurrences].map((index) =>
        [...counter.symbols.subarray(index * n, (index + 1) * n), counter.targets[index]]
          .map(nameOf)
          .join(' '),
      );
      expect(found).toEqual(expected);
      const counts = windower.addSymbolCounts(new Float64Array(1), table);
      const threads = 1 + entries.filter((call) => call === next).length;
      expect(counts[table.find(threadStart, 0)]).toBe(threads);
    }),
    { numRuns: 300, seed: 4 },
  );
});
