import type { Address } from '../base/address.ts';
import { assert } from '../base/errors.ts';
import type { Gap, GapReason, Mark } from './mark.ts';

/** The marks of a trace, and what its gaps amount to. At most one gap is open. */
export class GapLog {
  readonly marks: Mark[] = [];
  /** So many are kept; a later one takes the place of the oldest. */
  readonly #kept: number;
  #count = 0;
  /** Gaps, the open one included. */
  gaps = 0;
  /** Bytes of the gaps that are closed. */
  bytesLost = 0;
  #open: { readonly mark: number; readonly from: number } | undefined;

  constructor(kept: number) {
    this.#kept = kept;
  }

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** @returns the mark's index */
  add(mark: Mark): number {
    const index = this.#next;
    this.marks[index] = mark;
    this.#count++;
    return index;
  }

  /**
   * A gap begins; damage inside a gap makes it longer, not more.
   *
   * @returns the gap, to be added next; `undefined` inside another
   */
  begin(reason: GapReason, traceOffset: number, address: Address | undefined): Gap | undefined {
    if (this.#open !== undefined) return undefined;
    this.gaps++;
    this.#open = { mark: this.#next, from: traceOffset };
    return { kind: 'gap', reason, traceOffset, address, bytesLost: 0 };
  }

  /** Flow is known again, or the trace ends. */
  end(traceOffset: number): void {
    if (this.#open === undefined) return;
    const { mark, from } = this.#open;
    const gap = this.marks[mark];
    assert(gap.kind === 'gap', 'what is open is a gap');
    const bytesLost = traceOffset - from;
    this.marks[mark] = { ...gap, bytesLost };
    this.bytesLost += bytesLost;
    this.#open = undefined;
  }

  get #next(): number {
    return this.#count % this.#kept;
  }
}
