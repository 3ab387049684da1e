import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { UserError } from '../base/errors.ts';
import { Random } from '../base/random.ts';
import { SpillingCounter } from './spilling-counter.ts';
import { hashWindow, WindowCounter } from './window-counter.ts';

const directory = mkdtempSync(join(tmpdir(), 'wayward-spill-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function counterOf(windowLength: number, rows: readonly (readonly number[])[]): WindowCounter {
  const counter = new WindowCounter(windowLength);
  for (const row of rows) {
    const symbols = Int32Array.from(row.slice(0, windowLength));
    counter.add(symbols, 0, hashWindow(symbols, 0, windowLength), row[windowLength]);
  }
  return counter;
}

function contentOf(spilling: SpillingCounter, n: number): [string, number][] {
  const content: [string, number][] = [];
  for (const { length, symbols, targets, counts } of spilling.chunks()) {
    for (let i = 0; i < length; i++) {
      content.push([[...symbols.subarray(i * n, i * n + n), targets[i]].join(' '), counts[i]]);
    }
  }
  return content;
}

function plainCounts(traces: readonly (readonly (readonly number[])[])[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const row of traces.flat()) {
    counts.set(row.join(' '), (counts.get(row.join(' ')) ?? 0) + 1);
  }
  return counts;
}

describe('SpillingCounter', () => {
  test('counts as a map does, wherever it spilled, each window once', () => {
    const n = 2;
    const symbol = fc.integer({ min: 0, max: 3 });
    const trace = fc.array(fc.tuple(symbol, symbol, symbol), { maxLength: 40 });
    fc.assert(
      fc.property(fc.array(trace, { maxLength: 6 }), fc.boolean(), (traces, spills) => {
        const memoryLimit = spills ? 0 : 1e9;
        const spilling = new SpillingCounter({ windowLength: n, memoryLimit, directory });
        for (const rows of traces) spilling.addAll(counterOf(n, rows));
        const filled = traces.filter((rows) => rows.length > 0).length;
        expect(spilling.runs).toBe(spills ? filled : 0);
        const content = contentOf(spilling, n);
        expect(new Map(content)).toEqual(plainCounts(traces));
        expect(new Set(content.map(([key]) => key)).size).toBe(content.length);
        expect(contentOf(spilling, n)).toEqual(content);
        spilling.dispose();
        expect(readdirSync(directory)).toEqual([]);
      }),
      { seed: 11, numRuns: 60 },
    );
  });

  test('merges runs of many blocks', () => {
    const n = 3;
    const random = new Random(5);
    const traces = Array.from({ length: 3 }, () =>
      Array.from({ length: 9000 }, () => Array.from({ length: n + 1 }, () => random.below(9))),
    );
    const spilling = new SpillingCounter({ windowLength: n, memoryLimit: 0, directory });
    for (const rows of traces) spilling.addAll(counterOf(n, rows));
    expect(spilling.runs).toBe(3);
    const content = contentOf(spilling, n);
    expect(content.length).toBeGreaterThan(4096);
    expect(new Map(content)).toEqual(plainCounts(traces));
    spilling.dispose();
  });

  test('says so when the disk cannot be written', () => {
    const missing = join(directory, 'nowhere');
    const options = { windowLength: 1, memoryLimit: 0, directory: missing };
    const spilling = new SpillingCounter(options);
    const failed = (): unknown => spilling.addAll(counterOf(1, [[1, 2]]));
    expect(failed).toThrow(UserError);
    expect(failed).toThrow('windows cannot be kept here');
  });
});
