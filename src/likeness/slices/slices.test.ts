import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Evaluation } from '../../evaluation/evaluation.ts';
import type { BlockSource, BlockTable } from '../../flow/blocks.ts';
import type { Mark } from '../../flow/mark.ts';
import { Transfer } from '../../x86/transfer.ts';
import { readSliceCode } from './slice-code.ts';
import { countTerms, type TermNames, termId } from './slice-terms.ts';
import { type Slice, slicesByCorrectness, slicesOfPatches, transfersOf } from './slices.ts';

/** A trace in which every third block makes a predicted transfer; 1 = right, 0 = wrong. */
function evaluationOf(
  outcomes: readonly number[],
  evidence: Evaluation['evidence'] = [],
): Evaluation {
  return {
    sample: {
      name: 's',
      directory: '',
      file: 's',
      label: 'anomalous',
      family: undefined,
      role: 'test',
    },
    model: 'm',
    modelName: 'made up',
    trace: {
      blocks: 3 * outcomes.length + 1,
      unknownBlocks: 0,
      gaps: 0,
      overflows: 0,
      bytesLost: 0,
      blocksOutsideImages: 0,
      crashed: false,
    },
    predictions: {
      length: 2,
      predicted: Int32Array.of(5, 5),
      confidence: Float32Array.of(0.9, 0.9),
      actual: Int32Array.of(7, 5),
      actualProbability: Float32Array.of(0.001, 0.9),
      unseenTransfer: Uint8Array.of(1, 0),
    },
    occurrences: Int32Array.from(outcomes),
    positions: Int32Array.from(outcomes, (_, i) => 3 * i),
    unknownRuns: new Int32Array(0),
    evidence,
  };
}

describe("the ancestor's slices", () => {
  test('run from the first bad window to the end of the last one, as the plain way says', () => {
    const outcomes = fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 60 });
    fc.assert(
      fc.property(
        outcomes,
        fc.integer({ min: 1, max: 12 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (list, window, threshold) => {
          const bad: number[] = [];
          for (let i = 0; i + window <= list.length; i++) {
            const right = list.slice(i, i + window).reduce((a, b) => a + b, 0);
            if (right / window < threshold) bad.push(i);
          }
          const slices = slicesByCorrectness(evaluationOf(list), { window, threshold });
          if (bad.length === 0) {
            expect(slices).toEqual([]);
            return;
          }
          const last = bad.at(-1)! + window - 1;
          expect(slices).toEqual([
            { rank: 1, start: 3 * bad[0]!, end: 3 * last + 2, points: 0, evidence: [] },
          ]);
          const range = transfersOf(evaluationOf(list), slices[0]!);
          expect(range).toEqual({ first: bad[0], last: last + 1 });
        },
      ),
      { seed: 4, numRuns: 300 },
    );
  });
});

describe('slices of patches', () => {
  test('leave out what pales beside the worst one', () => {
    const outcomes = Array.from({ length: 400 }, (_, i) => (i >= 300 && i < 306 ? 0 : 1));
    const proof = { kind: 'return-mismatch', position: 30, traceOffset: 0 } as const;
    const evaluation = evaluationOf(outcomes, [
      proof,
      { kind: 'gap', position: 31, traceOffset: 0 },
    ]);
    const all = slicesOfPatches(evaluation, { most: 9, leastShare: 0 });
    expect(all.map(({ start, end }) => [start, end])).toEqual([
      [30, 32],
      [900, 917],
    ]);
    const worst = slicesOfPatches(evaluation, { most: 9, leastShare: 0.1 });
    expect(worst).toHaveLength(1);
    expect(worst[0]).toMatchObject({ rank: 1, evidence: [proof] });
  });
});

const modules = [
  { path: '/bin/tool', name: 'tool', base: 0x1000 },
  { path: '/lib/libc.so', name: 'libc.so', base: 0x9000 },
];

/** Entries below 0 are marks: -1 a gap, -2 an interrupt. */
function threadOf(
  entries: readonly number[],
  table: { module: number; offset: number }[],
): BlockSource {
  const gap: Mark = {
    kind: 'gap',
    reason: 'overflow',
    traceOffset: 0,
    address: undefined,
    bytesLost: 0,
  };
  const marks: Mark[] = [gap, { kind: 'async', traceOffset: 0, from: undefined, to: undefined }];
  const blocks: BlockTable = {
    length: table.length,
    modules,
    module: Int32Array.from(table, ({ module }) => module),
    offset: Float64Array.from(table, ({ offset }) => offset),
    lastInstruction: new Int32Array(table.length),
    size: new Int32Array(table.length),
    instructions: new Int32Array(table.length),
    kind: new Uint8Array(table.length).fill(Transfer.ret),
  };
  return {
    blocks,
    marks,
    run: async (sink) => {
      // In pieces of two entries: a slice may begin and end in any of them.
      for (let i = 0; i < entries.length; i += 2) {
        const piece = Int32Array.from(entries.slice(i, i + 2));
        sink({ entries: piece, length: piece.length, traceOffset: 0, time: undefined });
      }
      return {
        traceBytes: 0,
        blocks: 0,
        distinctBlocks: 0,
        gaps: 0,
        overflows: 0,
        bytesLost: 0,
        asyncTransfers: 0,
        crashed: false,
      };
    },
  };
}

const slice = (start: number, end: number): Slice => ({
  rank: 1,
  start,
  end,
  points: 1,
  evidence: [],
});

describe('the code of slices', () => {
  const code = { functionAt: (address: number) => `f${Math.floor(address / 0x100)}` };
  // The second thread numbers its blocks otherwise.
  const first = threadOf(
    [0, 1, -1, 0, 1, 0],
    [
      { module: 0, offset: 0x10 },
      { module: 1, offset: 0x20 },
    ],
  );
  const second = threadOf(
    [0, 1, -2, 1],
    [
      { module: 1, offset: 0x20 },
      { module: -1, offset: 0x7000 },
    ],
  );
  const threads = [
    { source: first, code },
    { source: second, code },
  ];

  test('runs on over threads; pairs do not run over marks and threads', async () => {
    const [whole, part, one] = await readSliceCode(
      [slice(0, 8), slice(3, 6), slice(5, 6)],
      threads,
      { around: 0 },
    );
    expect(
      whole!.blocks.map(({ module, offset, function: name, count }) => [
        module,
        offset,
        name,
        count,
      ]),
    ).toEqual([
      ['tool', 0x10, 'f16', 3],
      ['libc.so', 0x20, 'f144', 3],
      ['', 0x7000, 'f112', 2],
    ]);
    expect(whole!.edges).toEqual([
      { from: 0, to: 1, count: 2 },
      { from: 1, to: 0, count: 1 },
      { from: 1, to: 2, count: 1 },
    ]);
    expect(whole!.gaps).toBe(1);
    // Blocks 3 and 4 are of the first thread, block 5 of the second.
    expect(part!.blocks.map(({ module, count }) => [module, count])).toEqual([
      ['libc.so', 2],
      ['tool', 1],
    ]);
    expect(one!.blocks.map(({ module }) => module)).toEqual(['libc.so']);
    expect(one!.edges).toEqual([]);
  });

  test('with blocks around', async () => {
    const [wider] = await readSliceCode([slice(3, 4)], threads, { around: 1 });
    expect(wider!.blocks.reduce((sum, { count }) => sum + count, 0)).toBe(3);
  });

  test('terms count what ran, under names that hold in every trace', async () => {
    const [whole] = await readSliceCode([slice(0, 8)], threads, { around: 0 });
    const names: TermNames = new Map();
    const evaluation = evaluationOf([0, 1, 0, 1]);
    const own = {
      ...slice(0, 8),
      evidence: [{ kind: 'return-mismatch', position: 1, traceOffset: 0, count: 3 }] as const,
    };
    const options = { mostClasses: 6, className: (output: number) => `class ${output}` };
    const count = (part: Parameters<typeof countTerms>[0]): Record<string, number> => {
      const { ids, counts } = countTerms(part, evaluation, own, whole, options, names);
      expect([...ids]).toEqual([...ids].sort((a, b) => a - b));
      return Object.fromEntries(Array.from(ids, (id, i) => [names.get(id), counts[i]]));
    };
    expect(count('blocks')).toEqual({
      'tool+0x10': 3,
      'libc.so+0x20': 3,
      '(outside images)+0x7000': 2,
    });
    expect(count('edges')).toEqual({
      'tool+0x10 > libc.so+0x20': 2,
      'libc.so+0x20 > tool+0x10': 1,
      'libc.so+0x20 > (outside images)+0x7000': 1,
    });
    expect(count('functions')).toEqual({
      'tool!f16': 3,
      'libc.so!f144': 3,
      '(outside images)!f112': 2,
    });
    expect(count('transfers')).toEqual({ ret: 8 });
    expect(count('evidence')).toEqual({ 'return-mismatch': 3 });
    // Class 7 is cut off by mostClasses; transfers at blocks 0, 3 and 6 lie inside.
    expect(count('classes')).toEqual({ 'class 5': 1 });
  });

  test('ids of different parts differ, and stay what they are', () => {
    expect(termId('blocks', 'x')).not.toBe(termId('functions', 'x'));
    // CRC-32 of "functions libc.so.6!system" by another implementation (Python's zlib), halved.
    expect(termId('functions', 'libc.so.6!system')).toBe(67738134);
  });
});
