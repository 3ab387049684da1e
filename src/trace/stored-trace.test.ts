import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../base/errors.ts';
import type { BlockSource, TraceSummary } from '../flow/blocks.ts';
import type { Mark } from '../flow/mark.ts';
import { StoredTrace } from './stored-trace.ts';
import { writeStoredTrace } from './stored-trace-writer.ts';

const file = join(mkdtempSync(join(tmpdir(), 'wayward-')), 'trace_0.wayward');
const distinct = 50;
const marks: Mark[] = [
  { kind: 'gap', reason: 'overflow', traceOffset: 7, address: 4096, bytesLost: 3 },
  { kind: 'async', traceOffset: 9, from: 1, to: 2 },
];

/** A source that plays back entries, in batches of any size. */
function play(batches: readonly (readonly number[])[], blocks: number = distinct): BlockSource {
  const numbers = Int32Array.from({ length: blocks }, (_, i) => i);
  const summary: TraceSummary = {
    traceBytes: 100,
    blocks: batches.flat().filter((entry) => entry >= 0).length,
    distinctBlocks: blocks,
    gaps: 1,
    overflows: 1,
    bytesLost: 3,
    asyncTransfers: 1,
  };
  return {
    marks,
    blocks: {
      length: blocks,
      modules: [{ path: '/bin/a', name: 'a', base: 4096 }],
      module: numbers.map((i) => (i % 2) - 1),
      offset: Float64Array.from(numbers, (i) => i * 2 ** 40),
      lastInstruction: numbers.map((i) => i + 1),
      size: numbers.map((i) => i + 2),
      instructions: numbers.map((i) => i + 3),
      kind: Uint8Array.from(numbers, (i) => i % 9),
    },
    run: async (sink) => {
      for (const [i, batch] of batches.entries()) {
        const entries = Int32Array.from(batch);
        const time = i % 2 ? i : undefined;
        sink({ entries, length: batch.length, traceOffset: i * 10, time });
      }
      return summary;
    },
  };
}

async function read(source: BlockSource, options: { fromBlock?: number } = {}) {
  const batches: unknown[] = [];
  const trace = source as StoredTrace;
  const summary = await trace.run(({ entries, length, traceOffset, time }) => {
    batches.push([Array.from(entries.subarray(0, length)), traceOffset, time]);
  }, options);
  return { batches, summary, marks: [...source.marks], blocks: { ...source.blocks } };
}

test('what is written is read: blocks, marks, batches, offsets, times, sizes', async () => {
  const entry = fc.oneof(
    { weight: 1, arbitrary: fc.integer({ min: -2, max: distinct - 1 }) },
    { weight: 5, arbitrary: fc.integer({ min: 0, max: 2 }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(entry, { maxLength: 40 }), { maxLength: 6 }), async (b) => {
      const batches = b.filter(({ length }) => length > 0);
      await writeStoredTrace(file, play(batches));
      expect(await read(new StoredTrace(file))).toEqual(await read(play(batches)));
    }),
    { seed: 1, numRuns: 150 },
  );
});

test.each([254, 255, 256, 509, 510, 511, 66_000])('a run of %i as predicted', async (n) => {
  const loop = [1, 2, ...Array.from({ length: n }, (_, i) => (i % 2) + 1), 3];
  await writeStoredTrace(file, play([loop]));
  const { batches } = await read(new StoredTrace(file));
  expect((batches as [number[]][]).flatMap(([entries]) => entries)).toEqual(loop);
});

test('a trace of nothing, and one of marks alone', async () => {
  for (const batches of [[], [[-1, -2, -1]]]) {
    await writeStoredTrace(file, play(batches, 0));
    expect(await read(new StoredTrace(file))).toEqual(await read(play(batches, 0)));
  }
});

test('reading can begin at a later chunk', async () => {
  const batch = Array.from({ length: 60_000 }, (_, i) => (i * i) % distinct);
  await writeStoredTrace(file, play(Array.from({ length: 40 }, () => batch)));
  const { batches } = await read(new StoredTrace(file), { fromBlock: 2_300_000 });
  // Chunks end at the batch that fills 2^20 entries: 18 batches each.
  expect((batches as [number[], number][])[0]).toEqual([batch, 360, undefined]);
  expect(batches).toHaveLength(4);
});

test('an interrupted writing leaves no file', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'wayward-')), 'trace_0.wayward');
  const source = play([[1, 2, 3]]);
  const broken: BlockSource = {
    ...source,
    run: async (sink) => {
      await source.run(sink);
      throw new Error('stop');
    },
  };
  await expect(writeStoredTrace(path, broken)).rejects.toThrow('stop');
  await writeStoredTrace(path, source, { accept: () => false });
  expect(readdirSync(dirname(path))).toEqual([]);
});

describe('damage', () => {
  test('every cut and every changed byte is told with file and place', async () => {
    await writeStoredTrace(file, play([[1, 2, 1, 2, -1, 3, 1, 2, 1, 2, 7]]));
    const whole = readFileSync(file);
    const damaged = async (bytes: Uint8Array): Promise<void> => {
      writeFileSync(file, bytes);
      const error: unknown = await read(new StoredTrace(file)).catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(UserError);
      const { category, path, place } = error as UserError;
      expect([category, path]).toEqual(['input', file]);
      expect(place).toMatch(/^byte \d+$/);
    };
    for (let length = 0; length < whole.length; length++) await damaged(whole.subarray(0, length));
    for (let at = 0; at < whole.length; at++) {
      if (at >= 10 && at < 16) continue; // Kept for later versions.
      const bytes = Buffer.from(whole);
      bytes[at] ^= 1 << (at % 8);
      await damaged(bytes);
    }
  });
});
