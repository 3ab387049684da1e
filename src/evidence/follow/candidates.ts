import type { Candidate, FlowContext } from './flow-context.ts';

/** Stacks that are compared before the first that fit are taken for all. */
const mostCandidates = 64;

/**
 * Collects where flow may have gone on. Of stacks whose frames are the same the one counts that lost the
 * fewest of them: a coroutine that waits where it began rather than one that would have to go back there.
 */
export class Candidates {
  /** The first one added is first. */
  readonly list: Candidate[] = [];

  get length(): number {
    return this.list.length;
  }

  /**
   * Whether adding a context could change anything. Where there is no room, one in doubt, which is like none but
   * itself, cannot: of many stacks that a run has left, most are of that kind.
   */
  takes(context: FlowContext): boolean {
    return this.list.length < mostCandidates || context.isCertain;
  }

  add(context: FlowContext, depth: number): void {
    if (depth < 0 || !this.takes(context)) return;
    const { list } = this;
    const { isCertain } = context;
    const equal = list.findIndex(
      (other) =>
        other.depth === depth &&
        (other.context === context ||
          (isCertain && other.context.isCertain && haveSameFrames(other.context, context, depth))),
    );
    if (equal < 0) {
      if (list.length < mostCandidates) list.push(candidateAt(context, depth));
    } else if (context.depth < list[equal].context.depth) {
      list[equal] = candidateAt(context, depth);
    }
  }
}

export function candidateAt(context: FlowContext, depth: number): Candidate {
  return { context, depth, birth: context.births[depth] };
}

/** @returns those of which the youngest frame fits a return that was made, without it */
export function returned(
  candidates: readonly Candidate[],
  fits: (frame: number) => boolean,
): Candidate[] {
  return candidates
    .filter(({ context, depth, birth }) => {
      const isOpen = depth <= context.depth && context.births[depth] === birth;
      return isOpen && !context.isOver && depth > 0 && fits(context.frames[depth - 1]);
    })
    .map(({ context, depth }) => candidateAt(context, depth - 1));
}

/** @returns the candidates and, where the frames of one are in doubt from here on, its rivals */
export function withRivals(candidates: readonly Candidate[]): Candidate[] {
  const all = [...candidates];
  const known = new Set(all.map(({ context }) => context));
  for (let i = 0; i < all.length; i++) {
    const { context, depth } = all[i];
    if (context.rivalDepth !== depth) continue;
    for (const rival of context.rivals) {
      if (all.length >= mostCandidates) return all;
      if (rival.context.isOver) continue;
      // Stacks are compared one by one only where the same one has come up before, at this depth or another.
      const isThere =
        known.has(rival.context) &&
        all.some((other) => other.context === rival.context && other.depth === rival.depth);
      if (isThere) continue;
      known.add(rival.context);
      all.push(rival);
    }
  }
  return all;
}

function haveSameFrames(a: FlowContext, b: FlowContext, depth: number): boolean {
  for (let i = depth - 1; i >= 0; i--) if (a.frames[i] !== b.frames[i]) return false;
  return true;
}
