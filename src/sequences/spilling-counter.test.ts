import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { UserError } from '../base/errors.ts';
import { Random } from '../base/random.ts';
import { SpillingCounter, type SpillOptions } from './spilling-counter.ts';
import { hashWindow, WindowCounter } from './window-counter.ts';

const parent = mkdtempSync(join(tmpdir(), 'wayward-spill-'));
const directory = join(parent, 'windows');
afterAll(() => rmSync(parent, { recursive: true, force: true }));

/** A trace as rows: the window's symbols, then the target. */
type Trace = readonly (readonly number[])[];

function counterOf(windowLength: number, rows: Trace): WindowCounter {
  const counter = new WindowCounter(windowLength);
  for (const row of rows) {
    const symbols = Int32Array.from(row.slice(0, windowLength));
    counter.add(symbols, 0, hashWindow(symbols, 0, windowLength), row[windowLength]);
  }
  return counter;
}

function make(windowLength: number, limits: Partial<SpillOptions> = {}): SpillingCounter {
  return new SpillingCounter({
    windowLength,
    memoryLimit: 1e9,
    mostWindows: 1e9,
    directory,
    ...limits,
  });
}

function addTrace(spilling: SpillingCounter, rows: Trace): void {
  spilling.stage(counterOf(spilling.windowLength, rows));
  spilling.settle();
}

function contentOf(spilling: SpillingCounter): [string, number][] {
  const n = spilling.windowLength;
  const content: [string, number][] = [];
  for (const { length, symbols, targets, counts } of spilling.chunks()) {
    for (let i = 0; i < length; i++) {
      content.push([[...symbols.subarray(i * n, i * n + n), targets[i]].join(' '), counts[i]]);
    }
  }
  return content;
}

function plainCounts(traces: readonly Trace[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const row of traces.flat()) {
    counts.set(row.join(' '), (counts.get(row.join(' ')) ?? 0) + 1);
  }
  return counts;
}

function randomTraces(traces: number, rows: number, n: number): Trace[] {
  const random = new Random(5);
  return Array.from({ length: traces }, () =>
    Array.from({ length: rows }, () => Array.from({ length: n + 1 }, () => random.below(9))),
  );
}

describe('SpillingCounter', () => {
  test('counts as a map does, wherever it spilled, each window once, in the same order', () => {
    const symbol = fc.integer({ min: 0, max: 3 });
    const trace = fc.array(fc.tuple(symbol, symbol, symbol), { maxLength: 40 });
    const limits = fc.constantFrom({ memoryLimit: 0 }, { mostWindows: 3 }, { mostWindows: 20 });
    const isKept = fc.boolean();
    fc.assert(
      fc.property(fc.array(fc.tuple(trace, isKept), { maxLength: 6 }), limits, (parts, limit) => {
        const spilling = make(2, limit);
        const inMemory = make(2);
        for (const [rows, kept] of parts) {
          for (const counter of [spilling, inMemory]) {
            counter.stage(counterOf(2, rows));
            if (kept) counter.settle();
            else counter.discard();
          }
        }
        const content = contentOf(spilling);
        const kept = parts.filter(([, isKept]) => isKept).map(([rows]) => rows);
        expect(new Map(content)).toEqual(plainCounts(kept));
        expect(content).toEqual(contentOf(inMemory));
        expect(contentOf(spilling)).toEqual(content);
        spilling.dispose();
        expect(readdirSync(parent)).toEqual([]);
      }),
      { seed: 11, numRuns: 60 },
    );
  });

  test('merges runs of many blocks', () => {
    const traces = randomTraces(3, 9000, 3);
    const spilling = make(3, { memoryLimit: 0 });
    for (const rows of traces) addTrace(spilling, rows);
    expect(spilling.runs).toBeGreaterThan(2);
    const content = contentOf(spilling);
    expect(content.length).toBeGreaterThan(4096);
    expect(new Map(content)).toEqual(plainCounts(traces));
    spilling.dispose();
  });

  test('merges its runs before they become too many', () => {
    const traces = randomTraces(60, 20, 3);
    const spilling = make(3, { memoryLimit: 0 });
    for (const rows of traces) {
      addTrace(spilling, rows);
      expect(spilling.runs).toBeLessThan(26);
      expect(readdirSync(directory).length).toBe(spilling.runs);
    }
    expect(new Map(contentOf(spilling))).toEqual(plainCounts(traces));
    spilling.dispose();
  });

  test('takes windows in the symbols of another table', () => {
    const spilling = make(1);
    spilling.stage(counterOf(1, [[0, 1]]), Int32Array.of(7, 4));
    spilling.settle();
    expect(contentOf(spilling)).toEqual([['7 4', 1]]);
    spilling.dispose();
    expect(existsSync(directory)).toBe(false);
  });

  test('says so when the disk cannot be written, and leaves nothing there', () => {
    const spilling = make(1, { memoryLimit: 0, directory: join(parent, 'nowhere', 'windows') });
    const failed = (): void => spilling.stage(counterOf(1, [[1, 2]]));
    expect(failed).toThrow(UserError);
    expect(failed).toThrow('windows cannot be kept here');
  });
});
