import type { Operands } from '../../../x86/operands.ts';
import { Transfer } from '../../../x86/transfer.ts';

/** A longer run of code without a function's limits is no function that anybody follows. */
const mostBytes = 2 ** 22;

/**
 * The instructions of one stretch of code, read one after the other, and which of them lead to
 * which. Compilers put no data between the instructions of a function.
 */
export class FunctionFlow {
  readonly bytes: Uint8Array;
  readonly is64: boolean;
  /** Offset of each instruction, ascending. */
  readonly starts: Int32Array;
  /** `Transfer` kind of each. */
  readonly kinds: Uint8Array;
  /** Offset to which each direct branch or call leads; -1 for others, and outside the stretch. */
  readonly targets: Int32Array;
  #sources: Map<number, number[]> | undefined;
  #indirect: number[] | undefined;

  constructor(bytes: Uint8Array, is64: boolean, operands: Operands) {
    this.bytes = bytes;
    this.is64 = is64;
    const starts: number[] = [];
    const kinds: number[] = [];
    const targets: number[] = [];
    const end = Math.min(bytes.length, mostBytes);
    for (let at = 0; at < end; ) {
      const length = operands.readFlow(bytes, at, is64);
      // A byte that is no instruction: read on behind it, as disassemblers do.
      starts.push(at);
      kinds.push(length === 0 ? Transfer.far : operands.transfer);
      const isDirect =
        operands.transfer === Transfer.jcc ||
        operands.transfer === Transfer.jmp ||
        operands.transfer === Transfer.call;
      const target = at + length + operands.displacementOfTransfer;
      targets.push(length > 0 && isDirect && target >= 0 && target < bytes.length ? target : -1);
      at += Math.max(1, length);
    }
    this.starts = Int32Array.from(starts);
    this.kinds = Uint8Array.from(kinds);
    this.targets = Int32Array.from(targets);
  }

  /** @returns index of the instruction at an offset; -1 where none starts */
  indexAt(offset: number): number {
    const { starts } = this;
    let lowest = 0;
    let highest = starts.length - 1;
    while (lowest <= highest) {
      const middle = (lowest + highest) >>> 1;
      const start = starts[middle];
      if (start === offset) return middle;
      if (start < offset) lowest = middle + 1;
      else highest = middle - 1;
    }
    return -1;
  }

  /**
   * Instructions that lead to one, other than the one before it; of a place that nothing leads to
   * and that the one before does not go on to, the indirect jumps.
   */
  sourcesOf(index: number): readonly number[] {
    if (this.#sources === undefined) {
      this.#sources = new Map();
      for (let i = 0; i < this.starts.length; i++) {
        const kind = this.kinds[i];
        if (this.targets[i] < 0 || kind === Transfer.call) continue;
        const known = this.#sources.get(this.targets[i]);
        if (known === undefined) this.#sources.set(this.targets[i], [i]);
        else known.push(i);
      }
    }
    const sources = this.#sources.get(this.starts[index]) ?? [];
    return sources.length > 0 || index === 0 || this.goesOn(index - 1) ? sources : this.indirect;
  }

  /** The indirect jumps of the stretch. */
  get indirect(): readonly number[] {
    if (this.#indirect === undefined) {
      this.#indirect = [];
      for (let i = 0; i < this.kinds.length; i++) {
        if (this.kinds[i] === Transfer.ijmp) this.#indirect.push(i);
      }
    }
    return this.#indirect;
  }

  /** @returns whether something other than the instruction before may lead to one */
  isEntered(index: number): boolean {
    return this.sourcesOf(index).length > 0;
  }

  /** @returns whether an instruction can go on to the one behind it */
  goesOn(index: number): boolean {
    const kind = this.kinds[index];
    return (
      kind === Transfer.none ||
      kind === Transfer.jcc ||
      kind === Transfer.call ||
      kind === Transfer.icall ||
      kind === Transfer.syscall
    );
  }
}
