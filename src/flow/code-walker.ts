import type { Address } from '../base/address.ts';
import { Transfer } from '../x86/transfer.ts';
import { type ControlFlowGraph, isDirect, Link, linkSize } from './control-flow-graph.ts';
import type { FlowState } from './flow-state.ts';

/** Direct jumps and calls in a row without any trace packet, past which a loop cannot end by itself. */
const maxDirectRun = 1 << 14;
/** Direct transfers followed before looking whether they end at all. */
const shortRun = 32;

/** How following outcomes ended. */
export const Walk = {
  /** All outcomes are used; execution stands at the block that comes next. */
  done: 0,
  /** At a block whose transfer needs a TIP, or that cannot be left because its code is not known. */
  stall: 1,
  /** A compressed return that was not taken, or whose call is not known. */
  mismatch: 2,
  /** Direct transfers that lead in a circle. */
  endless: 3,
} as const;
export type WalkEnd = (typeof Walk)[keyof typeof Walk];

/**
 * Follows the code from where execution stands, one outcome at a time.
 *
 * Execution stands at the start of a block, not at the next decision: the direct transfers between
 * are followed when a decision is made, so that an event can still stop in any of their blocks.
 */
export class CodeWalker {
  readonly #graph: ControlFlowGraph;
  readonly #state: FlowState;
  /** Called when the batch is full. */
  readonly #flush: () => void;
  /** After `stall`: outcomes that were not used, as the argument of `follow`. */
  rest = 1;

  constructor(graph: ControlFlowGraph, state: FlowState, flush: () => void) {
    this.#graph = graph;
    this.#state = state;
    this.#flush = flush;
  }

  /** @param outcomes  bits under a stop bit, oldest highest; 1 = none */
  follow(outcomes: number): WalkEnd {
    const state = this.#state;
    const graph = this.#graph;
    const { calls, batch } = state;
    const { entries } = batch;
    // Each outcome adds a short run and one block at most, before it looks for more room.
    if (!batch.hasRoom(32 * (shortRun + 1))) this.#flush();
    let { links } = graph;
    let { at } = state;
    let { length } = batch;
    let end: WalkEnd = Walk.done;
    for (let shift = 30 - Math.clz32(outcomes); shift >= 0; shift--) {
      let link = at * linkSize;
      let kind = links[link];
      if (isDirect(kind)) {
        state.at = at;
        batch.length = length;
        end = this.toDecision();
        if (end !== Walk.done) break;
        at = state.at;
        length = batch.length;
        links = graph.links;
        link = at * linkSize;
        kind = links[link];
      }
      const taken = (outcomes >> shift) & 1;
      if (kind === Transfer.jcc) {
        entries[length++] = at;
        const next = links[link + Link.next + taken];
        if (next >= 0) at = next;
        else {
          at = taken === 1 ? graph.targetOf(at) : graph.nextOf(at);
          links = graph.links;
        }
      } else if (kind === Transfer.ret) {
        if (taken === 0) {
          end = Walk.mismatch;
          break;
        }
        entries[length++] = at;
        const call = calls.pop();
        if (call < 0) {
          end = Walk.mismatch;
          break;
        }
        const next = links[call * linkSize + Link.next];
        if (next >= 0) at = next;
        else {
          at = graph.nextOf(call);
          links = graph.links;
        }
      } else {
        const stop = 2 << shift;
        this.rest = (outcomes & (stop - 1)) | stop;
        end = Walk.stall;
        break;
      }
    }
    state.at = at;
    batch.length = length;
    return end;
  }

  /** Goes on to the next transfer that needs the trace, and stands at its block. */
  toDecision(): typeof Walk.done | typeof Walk.endless {
    const state = this.#state;
    const graph = this.#graph;
    const { batch, calls } = state;
    if (!batch.hasRoom(shortRun)) this.#flush();
    let { at } = state;
    let { links } = graph;
    const start = batch.length;
    let { length } = batch;
    const { entries } = batch;
    let end: typeof Walk.done | typeof Walk.endless = Walk.done;
    for (let steps = 0; ; steps++) {
      const link = at * linkSize;
      const kind = links[link];
      if (!isDirect(kind)) break;
      if (steps === shortRun) {
        if (!this.#ends(at)) {
          // Execution cannot have gone round there: the trace has more decisions.
          length = start;
          at = state.at;
          end = Walk.endless;
          break;
        }
        if (!batch.hasRoom(maxDirectRun)) {
          batch.length = length;
          this.#flush();
          length = 0;
        }
      }
      entries[length++] = at;
      let next = links[link + Link.target];
      if (next < 0) {
        next = graph.targetOf(at);
        links = graph.links;
      }
      if (kind === Transfer.call) calls.push(at);
      at = next;
    }
    state.at = at;
    batch.length = length;
    return end;
  }

  /**
   * Goes on to the block that holds `ip`, without any decision. Where it does not lie on the way,
   * execution stands where it stood, or at the code that is not known.
   *
   * @returns whether `ip` lies on the way
   */
  walkTo(ip: Address): boolean {
    const graph = this.#graph;
    const { batch, calls } = this.#state;
    let last = this.#state.at;
    let steps = 0;
    while (!graph.holds(last, ip)) {
      if (graph.kind[last] === Transfer.none) break;
      if (!isDirect(graph.kind[last]) || ++steps > maxDirectRun) return false;
      last = graph.targetOf(last);
    }
    for (let at = this.#state.at; steps > 0; steps--) {
      if (!batch.hasRoom(1)) this.#flush();
      batch.add(at);
      const next = graph.targetOf(at);
      if (graph.links[at * linkSize] === Transfer.call) calls.push(at);
      at = next;
    }
    this.#state.at = last;
    return graph.holds(last, ip);
  }

  #ends(node: number): boolean {
    const graph = this.#graph;
    let at = node;
    for (let steps = 0; steps < maxDirectRun - shortRun; steps++) {
      if (!isDirect(graph.links[at * linkSize])) return true;
      at = graph.targetOf(at);
    }
    return false;
  }
}
