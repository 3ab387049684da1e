import type { Address } from '../../../base/address.ts';
import type { ControlFlowGraph } from '../../../flow/control-flow-graph.ts';
import type { PtEncoder } from '../../../pt/encoder.ts';
import type { Bitness } from '../../../x86/block-reader.ts';
import { Transfer } from '../../../x86/transfer.ts';

/** Conditional branches in a row that are not taken, past which no code was followed. */
const maxSteps = 1 << 16;

/**
 * Turns a thread's taken branches into Intel PT: the code between them says which conditional branches
 * were not taken. Where it does not lead from one branch to the next, flow is lost (OVF).
 */
export class BranchEncoder {
  readonly #encoder: PtEncoder;
  readonly #bitness: Bitness;
  /** Where flow is; -1 = not known, or not in traced code. */
  #at: Address = -1;
  #isLost = false;
  branches = 0;
  /** Times that flow was lost. */
  gaps = 0;

  constructor(encoder: PtEncoder, bitness: Bitness) {
    this.#encoder = encoder;
    this.#bitness = bitness;
  }

  /** Tracing begins at `to`, or user code is entered there. */
  begin(to: Address): void {
    if (this.#at >= 0) this.lose();
    this.#goTo(to);
  }

  /**
   * @param graph  of what is mapped now
   * @param from  the instruction that branches, or before which an interrupt came
   * @param to  where it goes; `undefined` = to code that is not traced
   * @param isAsync  whether it is known to be an interrupt
   */
  branch(graph: ControlFlowGraph, from: Address, to: Address | undefined, isAsync: boolean): void {
    this.branches++;
    if (this.#at < 0 || !this.#reach(graph, from)) {
      if (this.#at >= 0) this.lose();
      if (to !== undefined) this.#goTo(to);
      return;
    }
    const node = graph.nodeAt(this.#at, this.#bitness);
    const end = graph.address[node] + graph.size[node];
    const encoder = this.#encoder;
    if (isAsync || from !== graph.address[node] + graph.lastInstruction[node]) {
      // No branch of the code: an interrupt, an exception or a signal.
      encoder.interrupt(from);
      this.#at = -1;
      if (to !== undefined) this.#goTo(to);
      return;
    }
    switch (graph.kind[node]) {
      case Transfer.jcc:
        encoder.branch(true);
        break;
      case Transfer.call:
        if (to !== end) encoder.call(end);
        break;
      case Transfer.ret:
        if (to !== undefined) encoder.return(to);
        break;
      case Transfer.icall:
        encoder.call(end);
        if (to !== undefined) encoder.indirect(to);
        break;
      case Transfer.ijmp:
      case Transfer.far:
        if (to !== undefined) encoder.indirect(to);
        break;
    }
    const isDirect =
      graph.kind[node] === Transfer.jcc ||
      graph.kind[node] === Transfer.jmp ||
      graph.kind[node] === Transfer.call;
    if (to === undefined || graph.kind[node] === Transfer.syscall) {
      encoder.disable();
      this.#at = -1;
      if (to !== undefined) this.#goTo(to);
    } else if (isDirect && graph.address[graph.targetOf(node)] !== to) {
      this.lose();
      this.#goTo(to);
    } else {
      this.#at = to;
      encoder.synchronize(to);
    }
  }

  /** Branches are missing here. */
  lose(): void {
    const at = this.#at;
    this.#at = -1;
    if (this.#isLost) return;
    this.#isLost = true;
    this.gaps++;
    // What was reached is known, also by a direct branch, which has no packet: a PSB+ tells it.
    this.#encoder.restart();
    if (at >= 0) this.#encoder.synchronize(at);
    this.#encoder.overflow();
  }

  #goTo(to: Address): void {
    if (this.#isLost) this.#encoder.resume(to);
    else this.#encoder.enable(to);
    this.#isLost = false;
    this.#at = to;
  }

  /** Follows the code to the block that holds `from`. @returns whether it gets there */
  #reach(graph: ControlFlowGraph, from: Address): boolean {
    let node = graph.nodeAt(this.#at, this.#bitness);
    for (let step = 0; step < maxSteps; step++) {
      if (graph.kind[node] === Transfer.none) return false;
      if (graph.holds(node, from)) return true;
      if (graph.kind[node] !== Transfer.jcc) return false;
      this.#encoder.branch(false);
      node = graph.nextOf(node);
      this.#at = graph.address[node];
      this.#encoder.synchronize(this.#at);
    }
    return false;
  }
}
