import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { exampleBase, exampleStream } from '../../../test/evidence-example.ts';
import { Transfer } from '../../x86/transfer.ts';
import { BlockPlaces } from './block-places.ts';
import { candidateAt, withRivals } from './candidates.ts';
import { ContextPool } from './context-pool.ts';
import { type Candidate, FlowContext } from './flow-context.ts';

/** Calls four bytes long, some of which end a few bytes before another does. */
const calls = Array.from({ length: 24 }, (_, i) => ({
  at: 0x40 * i + (i % 5),
  kind: Transfer.call,
}));
const places = new BlockPlaces();
places.update(exampleStream(calls).blocks);

let contexts = 0;
const contextOf = (frames: readonly number[], leftFrom: number): FlowContext => {
  const context = new FlowContext('fresh', --contexts);
  context.frames.set(frames);
  context.depth = frames.length;
  // Another activation each, or the pool would keep one of them.
  context.births.fill(contexts, 1);
  context.leftFrom = leftFrom;
  return context;
};

/** As it was before there was an index: all contexts, the one left first first. */
const plainlyNear = (pool: ContextPool, target: number): [FlowContext, number][] =>
  [...pool.contexts].flatMap((context) => {
    const { frames, depth, leftFrom } = context;
    const isNear = leftFrom >= 0 && Math.abs(target - leftFrom) < 256;
    const behind = depth > 0 ? target - places.end[frames[depth - 1]!]! : 0;
    return [
      ...(isNear ? [[context, 0] as [FlowContext, number]] : []),
      ...(behind > 0 && behind <= 8 ? [[context, behind] as [FlowContext, number]] : []),
    ];
  });

describe('contexts near an address', () => {
  const left = fc.record({
    frames: fc.array(fc.nat(calls.length - 1), { maxLength: 4 }),
    leftFrom: fc.oneof(
      fc.constant(-1),
      fc.nat(0x800).map((at) => exampleBase + at),
    ),
    /** Of those that were added before, one is removed. */
    removed: fc.option(fc.nat(40)),
  });

  test('are those that a plain search finds, in its order, whatever came and went', () => {
    fc.assert(
      fc.property(
        fc.array(left, { maxLength: 40 }),
        fc.array(fc.nat(0x800), { minLength: 1, maxLength: 8 }),
        (steps, targets) => {
          const pool = new ContextPool(places);
          const added: FlowContext[] = [];
          for (const { frames, leftFrom, removed } of steps) {
            const context = contextOf(frames, leftFrom);
            pool.add(context, 0);
            added.push(context);
            const [gone] = removed === null ? [] : added.splice(removed % added.length, 1);
            if (gone !== undefined) pool.remove(gone);
          }
          for (const at of targets) {
            const target = exampleBase + at;
            const found = pool.near(target).map(({ context, behindCall }) => [context, behindCall]);
            expect(found).toEqual(plainlyNear(pool, target));
          }
        },
      ),
      { seed: 1 },
    );
  });

  test('are the latest ones where there are thousands', () => {
    const pool = new ContextPool(places);
    const all = Array.from({ length: 4000 }, () => contextOf([0, 1, 2], exampleBase + 0x100));
    for (const context of all) pool.add(context, 0);
    const found = pool.near(exampleBase + 0x110).map(({ context }) => context);
    expect(found.length).toBeLessThan(200);
    expect(found).toEqual(all.slice(-found.length));
  });
});

describe('rivals of candidates', () => {
  /** Candidates with rivals, all of them different stacks; and how often one was looked at. */
  const manyRivals = (count: number): { list: Candidate[]; looks: () => number } => {
    let looked = 0;
    const watched = (candidate: Candidate): Candidate => ({
      ...candidate,
      get context() {
        looked++;
        return candidate.context;
      },
    });
    const list = Array.from({ length: count }, () => {
      const context = contextOf([0, 1], -1);
      context.rivalDepth = 2;
      context.rivals = Array.from({ length: 64 }, () =>
        watched(candidateAt(contextOf([0, 1], -1), 2)),
      );
      return candidateAt(context, 2);
    });
    return { list, looks: () => looked };
  };

  test('are added once each, up to a point, and no more are looked at', () => {
    const few = manyRivals(2);
    const shared = few.list[0]!.context.rivals.slice(0, 5);
    few.list[1]!.context.rivals = shared;
    few.list[0]!.context.rivals = shared;
    expect(withRivals(few.list)).toEqual([...few.list, ...shared]);
    const many = manyRivals(64);
    expect(withRivals(many.list)).toEqual(many.list);
    expect(many.looks()).toBe(0);
    const some = manyRivals(32);
    expect(withRivals(some.list)).toHaveLength(64);
    expect(some.looks()).toBeLessThan(32 * 8);
  });
});
