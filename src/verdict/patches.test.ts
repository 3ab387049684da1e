import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exampleEvaluation, withHistories } from '../../test/example-evaluation.ts';
import type { Evidence } from '../evidence/evidence.ts';
import { targetSorts } from '../evidence/transfer-code.ts';
import type { BlockBatch, BlockSource } from '../flow/blocks.ts';
import { surpriseName } from './features/feature-table.ts';
import { computeFeatures, feature } from './features/features.ts';
import { readPatchContexts } from './patch-context.ts';
import { findPatches, type Patch } from './patches.ts';

const fine = { predicted: 1, actual: 1, confidence: 0.99 };
const odd = { predicted: 1, actual: 2, confidence: 0.9, p: 0.001, unseen: true };
/** 400 transfers, 4 blocks apart; the given ones odd. */
const trace = (oddOnes: readonly number[], evidence: readonly Evidence[] = []) =>
  exampleEvaluation([fine, odd], {
    occurrences: Array.from({ length: 400 }, (_, i) => (oddOnes.includes(i) ? 1 : 0)),
    evidence,
  });
const mismatch = (position: number): Evidence => ({
  kind: 'return-mismatch',
  position,
  traceOffset: 10 * position,
});
const options = { most: 5, withEvidence: true };

describe('patches', () => {
  test('of surprises lie where the surprises are, the worst first', () => {
    const [first, second] = findPatches(trace([50, 51, 52, 300]), options);
    expect(first).toMatchObject({ rank: 1, traceOffset: undefined });
    expect(first.start).toBeLessThanOrEqual(200);
    expect(first.end).toBeGreaterThan(208);
    expect(first.end - first.start).toBeLessThan(60);
    expect(first.transfers.map((t) => [t.position, t.expected, t.actual])).toEqual([
      [200, 1, 2],
      [204, 1, 2],
      [208, 1, 2],
    ]);
    expect(second.transfers.map((t) => t.position)).toEqual([1200]);
  });

  test('with a proof come before those without', () => {
    const evaluation = trace([50, 51, 52, 53, 54], [mismatch(1000)]);
    expect(findPatches(evaluation, options)[0]).toMatchObject({
      start: 1000,
      end: 1002,
      traceOffset: 10_000,
    });
    const blind = findPatches(evaluation, { ...options, withEvidence: false })[0];
    expect(blind.start).toBeLessThanOrEqual(200);
    expect(blind.evidence).toEqual([]);
  });

  test('of a chain are one', () => {
    const chain = Array.from({ length: 30 }, (_, i) => mismatch(700 + 2 * i));
    const patches = findPatches(trace([], chain), options);
    expect(patches[0]).toMatchObject({ start: 700, end: 760 });
    expect(patches[0].evidence.length).toBe(30);
  });

  test('a gap in the recording alone is none', () => {
    const gap: Evidence = { kind: 'gap', position: 500, traceOffset: 1 };
    const found = findPatches(trace([], [gap]), options);
    expect(found.every((patch) => patch.evidence.length === 0)).toBe(true);
  });

  test('never overlap, stay inside the trace, and fall in points', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(399), { maxLength: 40 }),
        fc.uniqueArray(fc.nat(1699), { maxLength: 10 }),
        (oddOnes, proofs) => {
          const sorted = proofs.sort((a, b) => a - b).map(mismatch);
          const patches = findPatches(trace(oddOnes, sorted), { ...options, most: 100 });
          for (const [i, patch] of patches.entries()) {
            expect(patch.rank).toBe(i + 1);
            expect(patch.end).toBeGreaterThan(patch.start);
            expect(patch.end).toBeLessThanOrEqual(1700);
            if (i > 0) expect(patch.points).toBeLessThanOrEqual(patches[i - 1].points);
          }
          const inOrder = [...patches].sort((a, b) => a.start - b.start);
          for (let i = 1; i < inOrder.length; i++) {
            expect(inOrder[i].start).toBeGreaterThanOrEqual(inOrder[i - 1].end);
          }
        },
      ),
      { numRuns: 200, seed: 1 },
    );
  });

  describe('where histories predicted', () => {
    /** Places that surprise by so many nats, four blocks apart. */
    const judged = (
      nats: readonly number[],
      evidence: readonly Evidence[] = [],
      sort: number = targetSorts.indexOf('taken'),
    ) =>
      withHistories(
        exampleEvaluation(
          nats.map((n) => ({ ...odd, p: Math.exp(-2 * n) })),
          { evidence },
        ),
        sort,
      );

    test('are ordered by what the verdict rests on, at the scale of the place', () => {
      const nats = Array.from({ length: 100 }, (_, i) => (i === 50 ? 9 : i === 90 ? 10 : 0));
      const evaluation = judged(nats);
      const found = findPatches(evaluation, options);
      expect(found.map(({ start, points }) => [start, points])).toEqual([
        [360, expect.closeTo(10, 4)],
        [200, expect.closeTo(9, 4)],
      ]);
      expect(found[0]!.points).toBe(feature(computeFeatures(evaluation), surpriseName(1)));
    });

    test('where no code is known, come in the order of what lies together', () => {
      const nats = Array.from({ length: 100 }, (_, i) =>
        i === 90 ? 9 : i >= 40 && i < 44 ? 4 : 0,
      );
      const evaluation = judged(nats, [], targetSorts.indexOf('unknown'));
      const found = findPatches(evaluation, options);
      expect(found.map(({ start, points }) => [start, points])).toEqual([
        [160, expect.closeTo(16, 4)],
        [360, expect.closeTo(9, 4)],
      ]);
      expect(found[0]!.points).toBe(feature(computeFeatures(evaluation), surpriseName(64)));
    });

    test('are where it is most improbable, whatever evidence lies around', () => {
      const nats = Array.from({ length: 100 }, (_, i) => (i === 30 ? 12 : i === 33 ? 2 : 0));
      const [first, second] = findPatches(judged(nats, [mismatch(140), mismatch(380)]), options);
      expect(first).toMatchObject({ start: 120, end: 122, traceOffset: 1400 });
      expect(first!.transfers.map(({ position }) => position)).toEqual([120]);
      // Evidence that no transfer bears out is told last.
      expect(second).toMatchObject({ start: 380, points: 0 });
    });
  });

  test('of a trace without predictions are none', () => {
    expect(findPatches(exampleEvaluation([]), options)).toEqual([]);
  });
});

describe('blocks around a patch', () => {
  /** Block i of the table starts at 16 i; the trace runs 0, 1, 2, ... with a mark before `markAt`. */
  function source(length: number, batch: number, markAt = -1): BlockSource {
    const blocks = {
      length,
      modules: [{ path: '/bin/p', name: 'p', base: 0x1000 }],
      module: new Int32Array(length),
      offset: Float64Array.from({ length }, (_, i) => 16 * i),
      lastInstruction: new Int32Array(length).fill(3),
      size: new Int32Array(length).fill(4),
      instructions: new Int32Array(length).fill(1),
      kind: new Uint8Array(length).fill(6),
    };
    const entries = Array.from({ length }, (_, i) => (i === markAt ? [-1, i] : [i])).flat();
    return {
      blocks,
      marks: [{ kind: 'async', traceOffset: 0, from: undefined, to: undefined }],
      run: (sink) => {
        for (let i = 0; i < entries.length; i += batch) {
          const part = Int32Array.from(entries.slice(i, i + batch));
          sink({ entries: part, length: part.length, traceOffset: 100 * i, time: i });
        }
        return Promise.resolve({
          traceBytes: 0,
          blocks: length,
          distinctBlocks: length,
          gaps: 0,
          overflows: 0,
          bytesLost: 0,
          asyncTransfers: 0,
          crashed: false,
        });
      },
    };
  }
  const code = {
    placeAt: (address: number) => `f+${address - 0x1000}`,
    instructions: () => ['ret'],
  };
  const patch = (start: number, end: number): Patch => ({
    rank: 1,
    start,
    end,
    points: 1,
    traceOffset: undefined,
    evidence: [],
    transfers: [],
  });

  test.each([1, 7, 100])('are read in batches of %d', async (batch) => {
    const [context] = await readPatchContexts([patch(20, 23)], source(60, batch, 21), code, {
      around: 2,
      inside: 10,
    });
    expect(context.blocks.map((b) => [b.index, b.part, b.address, b.followsMark])).toEqual([
      [18, 'before', 0x1000 + 288, false],
      [19, 'before', 0x1000 + 304, false],
      [20, 'inside', 0x1000 + 320, false],
      [21, 'inside', 0x1000 + 336, true],
      [22, 'inside', 0x1000 + 352, false],
      [23, 'after', 0x1000 + 368, false],
      [24, 'after', 0x1000 + 384, false],
    ]);
    expect(context.blocks[2]).toMatchObject({
      module: 'p',
      place: 'f+320',
      instructions: ['ret'],
    });
    expect(context.omitted).toBe(0);
    expect(context.traceOffset).toBe(100 * Math.floor(20 / batch) * batch);
  });

  test('of a long patch are its ends, and say how many are left out', async () => {
    const [context] = await readPatchContexts([patch(10, 50)], source(60, 16), code, {
      around: 1,
      inside: 6,
    });
    expect(context.blocks.map((b) => b.index)).toEqual([9, 10, 11, 12, 47, 48, 49, 50]);
    expect(context.omitted).toBe(34);
  });

  test('at the edges of the trace are fewer', async () => {
    const contexts = await readPatchContexts([patch(0, 1), patch(59, 60)], source(60, 9), code, {
      around: 3,
      inside: 5,
    });
    expect(contexts.map((c) => c.blocks.map((b) => b.index))).toEqual([
      [0, 1, 2, 3],
      [56, 57, 58, 59],
    ]);
  });

  test.each([1, 7, 100])(
    'tell the calls that were open when they began, in batches of %d',
    async (batch) => {
      const pushed: number[] = [];
      const calls = {
        push: ({ entries, length }: BlockBatch): void => {
          for (const entry of entries.subarray(0, length)) if (entry >= 0) pushed.push(entry);
        },
        get depth(): number {
          return Math.min(2, pushed.length);
        },
        // As if the last two blocks were calls.
        callAt: (index: number): number =>
          pushed[pushed.length - Math.min(2, pushed.length) + index],
      };
      const contexts = await readPatchContexts(
        [patch(20, 23), patch(3, 5), patch(0, 2), patch(20, 21)],
        source(60, batch, 21),
        { ...code, calls },
        { around: 0, inside: 10 },
      );
      const offsets = contexts.map(({ openCalls = [] }) => openCalls.map(({ offset }) => offset));
      expect(offsets).toEqual([[19 * 16, 18 * 16], [2 * 16, 16], [], [19 * 16, 18 * 16]]);
      expect(contexts[0].openCalls?.[0]).toMatchObject({ module: 'p', place: 'f+304' });
      expect(pushed).toHaveLength(60);
    },
  );
});
