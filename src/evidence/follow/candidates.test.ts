import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Candidates } from './candidates.ts';
import { type Candidate, FlowContext } from './flow-context.ts';

/** Stacks of few different calls, so that many are alike; some in doubt. */
const context: fc.Arbitrary<FlowContext> = fc
  .tuple(fc.array(fc.nat(1), { maxLength: 4 }), fc.boolean())
  .map(([frames, isUnsure]) => {
    const made = new FlowContext('fresh', 0);
    made.frames.set(frames);
    made.depth = frames.length;
    made.isUnsure = isUnsure;
    return made;
  });

/** What is added is compared with all that is there. */
class PlainCandidates {
  readonly list: Candidate[] = [];

  add(added: FlowContext, depth: number): void {
    if (depth < 0) return;
    const equal = this.list.findIndex(({ context: other, depth: at }) => {
      if (other === added) return at === depth;
      const isAlike = other.frames.slice(0, depth).join() === added.frames.slice(0, depth).join();
      return at === depth && isAlike && other.isCertain && added.isCertain;
    });
    const candidate = { context: added, depth, birth: added.births[depth] };
    if (equal < 0) {
      if (this.list.length < 64) this.list.push(candidate);
    } else if (added.depth < this.list[equal].context.depth) this.list[equal] = candidate;
  }
}

test('candidates are those that comparing each with all others leaves', () => {
  fc.assert(
    fc.property(
      fc.array(context, { minLength: 1, maxLength: 60, size: 'max' }),
      // Often more than there is room for.
      fc.array(fc.tuple(fc.nat(59), fc.integer({ min: -1, max: 4 })), {
        maxLength: 400,
        size: 'max',
      }),
      (contexts, added) => {
        const candidates = new Candidates();
        const plain = new PlainCandidates();
        for (const [which, depth] of added) {
          const one = contexts[which % contexts.length];
          candidates.add(one, Math.min(depth, one.depth));
          plain.add(one, Math.min(depth, one.depth));
        }
        const told = (list: readonly Candidate[]): (readonly number[])[] =>
          list.map((one) => [contexts.indexOf(one.context), one.depth, one.birth]);
        expect(told(candidates.list)).toEqual(told(plain.list));
      },
    ),
    // To look for a smaller example among lists that are full takes minutes.
    { numRuns: 300, seed: 1, endOnFailure: true },
  );
});

test('a full list takes stacks only that may be nearer than one of them', () => {
  const candidates = new Candidates();
  const inDoubt = (): FlowContext => {
    const made = new FlowContext('fresh', 0);
    made.isUnsure = true;
    return made;
  };
  while (candidates.takes(inDoubt())) candidates.add(inDoubt(), 0);
  expect(candidates.length).toBe(64);
  expect(candidates.takes(new FlowContext('fresh', 0))).toBe(true);
});
