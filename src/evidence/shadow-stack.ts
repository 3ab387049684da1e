import type { Address } from '../base/address.ts';
import type { BlockPlaces } from './places.ts';

/** How deep a mismatched return is looked for: damage must not make every return a long search. */
const searchDepth = 4096;
const capacity = 1 << 20;

/** Where a return went, as the shadow stack sees it. */
export type ReturnVerdict =
  /** To the instruction after a call that is still open. */
  | 'matched'
  /** To an outer call: the frames in between were left by a long jump or an unwinder. */
  | 'unwound'
  /** The call was made before the trace, or before a gap. */
  | 'unknown'
  | 'mismatch';

/**
 * The calls that have not returned yet: block ids of the blocks that end in them.
 *
 * The collector's hot loop works on `frames` and `depth` directly; here is what happens when the
 * top frame is not the one that the return went to.
 */
export class ShadowStack {
  readonly frames: Int32Array = new Int32Array(capacity);
  depth = 0;
  /**
   * Set by anything that may leave frames behind without returning (a long jump, an unwinder, a
   * mismatch already told): outer frames may then be returned to.
   */
  isLoose = false;
  /** Stacks set aside when flow moved elsewhere, with the address at which it was interrupted. */
  #aside: { readonly from: Address; readonly frames: Int32Array }[] = [];

  /** Call when full: forgets the older half. */
  shrink(): void {
    const kept = this.depth >>> 1;
    this.frames.copyWithin(0, this.depth - kept, this.depth);
    this.depth = kept;
  }

  /** Nothing is known any more: a gap. */
  clear(): void {
    this.depth = 0;
    this.isLoose = false;
    this.#aside = [];
  }

  /** Takes back the frame that a return went to, which is not the top one. */
  returnTo(
    target: Address,
    places: BlockPlaces,
    isCallToNext: (block: number) => boolean,
  ): ReturnVerdict {
    const bottom = Math.max(0, this.depth - searchDepth);
    let isSkipping = false;
    for (let i = this.depth - 1; i >= bottom; i--) {
      const frame = this.frames[i];
      if (places.end[frame] === target) {
        const isAllowed = !isSkipping || this.isLoose;
        if (isAllowed) this.depth = i;
        this.isLoose = false;
        return isSkipping ? (isAllowed ? 'unwound' : 'mismatch') : 'matched';
      }
      // `call next` reads its own address: the pushed one is popped, not returned to.
      if (!isCallToNext(frame)) isSkipping = true;
    }
    if (this.depth === 0) return 'unknown';
    return 'mismatch';
  }

  /**
   * Flow went from `from` to `to` without an instruction: an interrupt, a signal, another thread.
   * Each side has its own calls; when flow comes back to where it was interrupted, its stack does.
   */
  switchContext(from: Address, to: Address): void {
    if (from === to) return;
    for (let i = this.#aside.length - 1; i >= 0; i--) {
      if (this.#aside[i].from !== to) continue;
      const { frames } = this.#aside[i];
      this.#aside.length = i;
      this.frames.set(frames);
      this.depth = frames.length;
      return;
    }
    this.#aside.push({ from, frames: this.frames.slice(0, this.depth) });
    // Of nested signals and threads a handful is plausible.
    if (this.#aside.length > 64) this.#aside.shift();
    this.depth = 0;
    this.isLoose = false;
  }
}
