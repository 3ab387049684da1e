import { expect, test } from 'vitest';
import { exampleEvaluation } from '../../../test/example-evaluation.ts';
import { NominalRuns } from '../../likeness/nominal-runs.ts';
import type { PatchBlock, PatchContext } from '../../verdict/patch-context.ts';
import { findPatches } from '../../verdict/patches.ts';
import { detailOf } from './detail-of.ts';

const evaluation = exampleEvaluation(
  [
    { predicted: 3, actual: 3, confidence: 0.99 },
    { predicted: 3, actual: 0, confidence: 0.9, p: 1e-6, unseen: true },
  ],
  {
    // Transfers four blocks apart; two bad ones in the middle.
    occurrences: Array.from({ length: 100 }, (_, i) => (i === 50 || i === 51 ? 1 : 0)),
    evidence: [
      {
        kind: 'return-mismatch',
        position: 200,
        traceOffset: 77,
        actual: 0x5000,
        expected: 0x4010,
        count: 2,
      },
    ],
  },
);
const patches = findPatches(evaluation, { most: 3, withEvidence: true });

function block(
  index: number,
  part: PatchBlock['part'],
  more: Partial<PatchBlock> = {},
): PatchBlock {
  return {
    index,
    part,
    address: 0x4000 + index,
    module: 'libx.so',
    offset: index,
    place: `libx.so+0x${index.toString(16)}`,
    instructions: ['ret'],
    transfer: 0,
    followsMark: false,
    ...more,
  };
}

test('without a second look, classes and block numbers stand for places', () => {
  const detail = detailOf(evaluation, { patches });
  expect(detail.patches).toHaveLength(patches.length);
  const [patch] = detail.patches;
  expect([patch!.firstBlock, patch!.lastBlock]).toEqual([patches[0]!.start, patches[0]!.end - 1]);
  expect(patch!.traceOffset).toBe(77);
  const bad = patch!.transfers.find((t) => t.position === 200)!;
  expect(bad).toMatchObject({
    isInside: true,
    isCorrect: false,
    isUnknown: true,
    evidence: 'return-mismatch',
    from: '',
    came: 'a place never seen in training',
    expected: '0x4010',
    expectedProbability: undefined,
  });
  expect(patch!.transfers.filter((t) => !t.isInside).length).toBeGreaterThanOrEqual(29);
  expect(patch!.listing).toEqual([]);
  expect(detail.evidence).toEqual([
    {
      kind: 'return-mismatch',
      position: 200,
      traceOffset: 77,
      from: '',
      to: '0x5000',
      expected: '0x4010',
      count: 2,
    },
  ]);
});

test('with what ran around it, places have names and instructions', () => {
  const context: PatchContext = {
    patch: patches[0]!,
    omitted: 0,
    traceOffset: 70,
    time: 12345,
    blocks: [
      block(199, 'before', { place: 'libx.so!parse+0x4', instructions: ['mov rax, rbx', 'ret'] }),
      block(200, 'inside', { module: '', address: 0x7000, place: '0x7000' }),
      block(201, 'inside', { place: 'libx.so!gadget', followsMark: true, instructions: [] }),
      block(210, 'after'),
    ],
  };
  const detail = detailOf(evaluation, {
    patches,
    contexts: [context],
    className: (target) => (target === 3 ? 'libx.so!usual' : undefined),
    placeName: (address) => (address === 0x4010 ? 'libx.so!caller+0x10' : undefined),
  });
  const [patch] = detail.patches;
  expect(patch).toMatchObject({
    before: 'libx.so!parse+0x4',
    inside: '0x7000',
    after: 'libx.so+0xd2',
    modules: ['libx.so'],
    time: 12345,
  });
  expect(patch!.transfers.find((t) => t.position === 200)).toMatchObject({
    from: '0x7000',
    came: 'libx.so!gadget',
    expected: 'libx.so!caller+0x10',
  });
  expect(patch!.transfers.find((t) => t.position === 196)).toMatchObject({
    expected: 'libx.so!usual',
    came: 'libx.so!usual',
  });
  expect(detail.evidence[0]).toMatchObject({
    from: '0x7000',
    to: '0x5000',
    expected: 'libx.so!caller+0x10',
  });
  expect(
    patch!.listing.map((line) => `${line.part}|${line.address}|${line.place}|${line.text}`),
  ).toEqual([
    'before|0x40c7|libx.so!parse+0x4|mov rax, rbx',
    'before|||ret',
    'inside|0x7000|0x7000|ret',
    'inside|||… flow was not known, or was interrupted …',
    'inside|0x40c9|libx.so!gadget|(code not available)',
    'after|||… 8 blocks left out …',
    'after|0x40d2|libx.so+0xd2|ret',
  ]);
});

test('evidence beyond the limit is counted', () => {
  const many = exampleEvaluation([{ predicted: 1, actual: 1, confidence: 1 }], {
    occurrences: Array.from({ length: 500 }, () => 0),
    evidence: Array.from({ length: 450 }, (_, i) => ({
      kind: 'return-mismatch' as const,
      ...{ position: i, traceOffset: i, actual: 0x5000 + i },
    })),
  });
  const detail = detailOf(many, { patches: [] });
  expect(detail.evidence).toHaveLength(200);
  expect([detail.evidencePlaces, detail.evidenceTotal]).toEqual([450, 450]);
});

test('patches at the same place are one entry, with all the times', () => {
  const evidence = [100, 200, 300].map((position) => ({
    ...{ kind: 'return-mismatch' as const, position, traceOffset: position },
    ...{ actual: 0x5000, expected: 0x4010 },
  }));
  const many = exampleEvaluation([{ predicted: 1, actual: 1, confidence: 1 }], {
    occurrences: Array.from({ length: 100 }, () => 0),
    evidence,
  });
  const found = findPatches(many, { most: 9, withEvidence: true });
  expect(found).toHaveLength(3);
  // The second one is at another place of the code.
  const contexts = found.map(
    (patch): PatchContext => ({
      ...{ patch, omitted: 0, traceOffset: patch.start, time: patch.start * 10 },
      blocks: [patch.start, patch.start + 1].map((index) =>
        block(index, 'inside', { offset: patch.start === 200 ? 7 : index - patch.start }),
      ),
    }),
  );
  const detail = detailOf(many, { patches: found, contexts, mostPlaces: 5 });
  expect(detail.patches.map(({ occurrences }) => occurrences?.map((o) => o.firstBlock))).toEqual([
    [100, 300],
    undefined,
  ]);
  expect(detail.patches[0]!.occurrences![1]).toMatchObject({ traceOffset: 300, time: 3000 });
  expect(detailOf(many, { patches: found, contexts, mostPlaces: 1 }).patches).toHaveLength(1);
  // What nobody looked at stays apart.
  expect(detailOf(many, { patches: found }).patches).toHaveLength(3);
});

test('evidence from the same place to the same place is one entry', () => {
  const many = exampleEvaluation([{ predicted: 1, actual: 1, confidence: 1 }], {
    occurrences: Array.from({ length: 100 }, () => 0),
    evidence: [1, 2, 3].map((position) => ({
      ...{ kind: 'return-mismatch' as const, position, traceOffset: position, count: 2 },
      actual: position === 2 ? 0x6000 : 0x5000,
    })),
  });
  const { evidence, evidencePlaces, evidenceTotal } = detailOf(many, { patches: [] });
  expect(evidence).toMatchObject([
    { position: 1, to: '0x5000', count: 4, lastPosition: 3 },
    { position: 2, to: '0x6000', count: 2 },
  ]);
  expect([evidencePlaces, evidenceTotal]).toEqual([2, 3]);
});

test('nominal runs are counted for a stretch, its transfers and the whole', () => {
  const runs = new NominalRuns();
  const columns = (...offset: number[]) => ({
    ...{ modules: ['libx.so'], module: new Int32Array(offset.length) },
    offset: Float64Array.from(offset),
  });
  const transfers = {
    ...{ places: columns(199, 200), site: Int32Array.of(0), target: Int32Array.of(1) },
  };
  runs.add({ name: 'n1', blocks: [columns(199, 200)], transfers });
  runs.add({
    name: 'n2',
    blocks: [columns(199)],
    transfers: { ...transfers, site: new Int32Array(0) },
  });
  const context: PatchContext = {
    ...{ patch: patches[0]!, omitted: 0, traceOffset: 70, time: undefined },
    blocks: [199, 200, 201].map((index) => block(index, 'inside')),
  };
  const nearest = { name: 'n1', similarity: 0.5, onlyThere: 2, ran: () => true };
  const parting = (position: number, running: number) => ({
    ...{ position, running, from: { module: 'libx.so', offset: 1 } },
    to: { module: '', offset: 0x99 },
  });
  const partings = Array.from({ length: 12 }, (_, i) => parting(i, i < 4 ? 1 : 0));
  const detail = detailOf(evaluation, {
    ...{ patches, contexts: [context] },
    nominal: { runs, comparison: { runs: 2, nearest, onlyHere: 3, partings } },
    nameOf: (module, offset) => (module === '' ? undefined : `${module}!f${offset}`),
  });
  expect(detail.patches[0]!.nominal).toEqual({ runs: 2, blocks: 3, inAll: 1, inNone: 1 });
  const transfer = detail.patches[0]!.transfers.find(({ position }) => position === 200)!;
  expect(transfer.nominal).toEqual({ runs: 2, going: 0, running: 0 });
  expect(detail.nominal).toMatchObject({ nearest: 'n1', onlyHere: 3, partingsTotal: 12 });
  // Those that the fewest share, in trace order.
  expect(detail.nominal!.partings.map(({ position }) => position)).toEqual([
    4, 5, 6, 7, 8, 9, 10, 11,
  ]);
  expect(detail.nominal!.partings[0]).toMatchObject({ from: 'libx.so!f1', to: '0x99' });
});
