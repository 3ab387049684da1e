import type { BlockTable } from '../../flow/blocks.ts';
import { StackUse } from '../../x86/stack-use.ts';
import type { BlockPlaces } from './block-places.ts';
import type { StackCode } from './stack-code.ts';

/** Flags of a block beside its kind, in `steps`. */
export const madeFlag = 16;
export const loadsFlag = 32;
/** A long jump has gone behind the call at its end. */
export const returnPointFlag = 64;
/** Somebody wants to know whenever it runs. */
export const watchedFlag = 128;

/**
 * What is kept of each block that ran, together in one quarter of a cache line: blocks are met in no order
 * that a processor could foresee.
 */
export const Ran = {
  /** Of a block that ends in a call: the block behind it, as far as a return has shown; -1 = not yet. */
  behind: 0,
  /** Depth and activation in which the call was made last; -1 = never. */
  depth: 1,
  birth: 2,
  /** Last target of a block that ends in an indirect call or jump; -1 = to be told. */
  target: 3,
} as const;
export const ranSize = 4;

/** The blocks of a run: what kind each is, and what it did last. Arrays are replaced when they grow. */
export class RanBlocks {
  /** Blocks of the table that were taken in. */
  length = 0;
  /** `Transfer` kind and flags, by block. */
  steps: Uint8Array = new Uint8Array(1024);
  /** `[blocks, 4]`, as `Ran`. */
  ran: Int32Array = new Int32Array(1024 * ranSize).fill(-1);

  /** Takes in the blocks that a table has gained; `places` has them already. */
  take(blocks: BlockTable, places: BlockPlaces, stack: StackCode | undefined): void {
    const { length, kind, size, module } = blocks;
    if (length > this.steps.length) this.#grow(Math.max(length, 2 * this.steps.length));
    for (let id = this.length; id < length; id++) {
      let step = kind[id];
      if (module[id] < 0) step |= madeFlag;
      const use = stack?.stackUseIfSet(places.start[id], size[id]) ?? 0;
      if ((use & StackUse.loads) !== 0) step |= loadsFlag;
      this.steps[id] = step;
    }
    this.length = length;
  }

  /** @returns the last target of a block that ends in an indirect call or jump; -1 = not kept */
  targetOf(block: number): number {
    return this.ran[block * ranSize + Ran.target];
  }

  #grow(capacity: number): void {
    const steps = new Uint8Array(capacity);
    steps.set(this.steps);
    this.steps = steps;
    const ran = new Int32Array(capacity * ranSize).fill(-1);
    ran.set(this.ran);
    this.ran = ran;
  }

  watch(block: number): void {
    this.steps[block] |= watchedFlag;
  }

  isReturnPoint(call: number): boolean {
    return (this.steps[call] & returnPointFlag) !== 0;
  }

  markReturnPoint(call: number): void {
    this.steps[call] |= returnPointFlag;
  }
}
