import type { Address } from '../../base/address.ts';
import { AddressIndex } from '../../base/bytes/address-index.ts';
import type { BlockTable } from '../../flow/blocks.ts';
import { StackUse } from '../../x86/stack-use.ts';
import { Transfer } from '../../x86/transfer.ts';
import type { BlockPlaces } from './block-places.ts';
import { Ran, type RanBlocks, ranSize } from './ran-blocks.ts';
import type { StackCode } from './stack-code.ts';

/** Linkage stubs and tail calls that lead to the code which a call is for. */
const mostSteps = 8;

/** The calls of a run, by where they return to, and what the code that they enter does at once. */
export class CalledCode {
  readonly #blocks: BlockTable;
  readonly #places: BlockPlaces;
  readonly #ranBlocks: RanBlocks;
  readonly #stack: StackCode | undefined;
  /** `ReturnUse` of the routines that were asked for, by where they begin. */
  readonly #returnUses: Map<Address, number> = new Map();
  /** The first block that ends in a call, by the address after; blocks by start. */
  readonly #callEnds = new AddressIndex();
  readonly #starts = new AddressIndex();
  /** By block: the next one that ends in a call at the same address; -1 = none. */
  #sameEnd: Int32Array = new Int32Array(0);
  /** Blocks are indexed when first asked for. */
  #indexed = 0;

  constructor(
    blocks: BlockTable,
    places: BlockPlaces,
    ranBlocks: RanBlocks,
    stack: StackCode | undefined,
  ) {
    this.#blocks = blocks;
    this.#places = places;
    this.#ranBlocks = ranBlocks;
    this.#stack = stack;
  }

  /** @returns blocks that end in a call that this run has made, and that returns to `target` */
  before(target: Address): readonly number[] {
    this.#index();
    const { ran } = this.#ranBlocks;
    const calls: number[] = [];
    let call = this.#callEnds.get(target | 0, upperHalf(target));
    for (; call >= 0; call = this.#sameEnd[call]) {
      if (ran[call * ranSize + Ran.depth] >= 0) calls.push(call);
    }
    return calls;
  }

  /** Whether the code that a direct call enters takes its return address off the stack at once. */
  isReturnTaken(call: number): boolean {
    const callee = this.#calleeOf(call);
    if (callee === undefined) return false;
    const size = this.#stack?.blockAt(callee)?.size ?? 0;
    return ((this.#stack?.stackUse(callee, size) ?? 0) & StackUse.pops) !== 0;
  }

  /** @returns bits of `ReturnUse`: what the routine that a call entered does with its return address */
  returnUse(call: number): number {
    let callee = this.#calleeOf(call);
    if (callee === undefined) {
      const entered = this.#ranBlocks.targetOf(call);
      if (entered >= 0) callee = this.#places.start[entered];
    }
    if (callee === undefined) return 0;
    let use = this.#returnUses.get(callee);
    if (use === undefined) {
      use = this.#stack?.returnUse(callee) ?? 0;
      this.#returnUses.set(callee, use);
    }
    return use;
  }

  /** Whether a call is to code that reads its own return address, as `setjmp` does, or is known to be. */
  savesContext(call: number): boolean {
    if (this.#ranBlocks.isReturnPoint(call)) return true;
    let callee = this.#calleeOf(call);
    for (let i = 0; i < mostSteps && callee !== undefined; i++) {
      const shape = this.#stack?.blockAt(callee);
      if (shape === undefined) return false;
      const { kind, size, target } = shape;
      if (((this.#stack?.stackUse(callee, size) ?? 0) & StackUse.reads) !== 0) return true;
      if (kind === Transfer.jmp) callee += target;
      else if (kind === Transfer.ijmp) callee = this.#lastTargetFrom(callee);
      else if (kind === Transfer.jcc) callee += size;
      else return false;
    }
    return false;
  }

  /** @returns where the direct call at the end of a block goes */
  #calleeOf(call: number): Address | undefined {
    if (this.#blocks.kind[call] !== Transfer.call) return undefined;
    const at = this.#places.start[call];
    const shape = this.#stack?.blockAt(at);
    if (shape === undefined || shape.kind !== Transfer.call) return undefined;
    return at + shape.target;
  }

  /** @returns where the block at an address, which ends in an indirect jump, went last */
  #lastTargetFrom(start: Address): Address | undefined {
    this.#index();
    const block = this.#starts.get(start | 0, upperHalf(start));
    const next = block < 0 ? -1 : this.#ranBlocks.targetOf(block);
    return next < 0 ? undefined : this.#places.start[next];
  }

  #index(): void {
    const { length } = this.#ranBlocks;
    if (this.#indexed === length) return;
    const { kind } = this.#blocks;
    const { start, end } = this.#places;
    if (this.#sameEnd.length < length) {
      const sameEnd = new Int32Array(start.length).fill(-1);
      sameEnd.set(this.#sameEnd);
      this.#sameEnd = sameEnd;
    }
    for (; this.#indexed < length; this.#indexed++) {
      const id = this.#indexed;
      const [low, high] = [start[id] | 0, upperHalf(start[id])];
      if (this.#starts.get(low, high) < 0) this.#starts.add(low, high, id);
      if (kind[id] === Transfer.call || kind[id] === Transfer.icall) this.#indexCall(id, end[id]);
    }
  }

  #indexCall(id: number, end: Address): void {
    const [low, high] = [end | 0, upperHalf(end)];
    let last = this.#callEnds.get(low, high);
    if (last < 0) {
      this.#callEnds.add(low, high, id);
      return;
    }
    while (this.#sameEnd[last] >= 0) last = this.#sameEnd[last];
    this.#sameEnd[last] = id;
  }
}

/** @returns bits 32 and above of an address */
function upperHalf(address: Address): number {
  return Math.floor(address / 0x1_0000_0000);
}
