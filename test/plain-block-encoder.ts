import type { Address } from '../src/base/address.ts';
import type { TranslationTable } from '../src/capture/qemu/block-encoder.ts';
import type { PtEncoder } from '../src/pt/encoder.ts';
import { Transfer } from '../src/x86/transfer.ts';

/** As `BlockEncoder`, by addresses at every step: its judge. */
export class PlainBlockEncoder {
  readonly #table: TranslationTable;
  readonly #encoder: PtEncoder;
  readonly #handlers: ReadonlySet<Address>;
  readonly #onBlock: ((address: Address) => void) | undefined;
  #previous = -1;
  /** Where the current block starts, which may be of several pieces. */
  #blockStart: Address = 0;
  /** Basic blocks so far. */
  blocks = 0;
  /** Signals taken between blocks. */
  interrupts = 0;

  /** @param handlers  addresses of signal handlers, which nothing calls; may grow meanwhile */
  constructor(
    table: TranslationTable,
    encoder: PtEncoder,
    handlers: ReadonlySet<Address>,
    onBlock?: (address: Address) => void,
  ) {
    this.#table = table;
    this.#encoder = encoder;
    this.#handlers = handlers;
    this.#onBlock = onBlock;
  }

  /** @param ids  translation blocks in the order of execution; @param limit  basic blocks in all */
  add(ids: Uint32Array, limit: number): void {
    const { start, end, last, kind, target } = this.#table;
    const encoder = this.#encoder;
    let previous = this.#previous;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i];
      const at = start[id];
      if (previous >= 0 && kind[previous] === Transfer.none) {
        // A piece of the same block, or one more round of a repeated string instruction.
        if (at === end[previous] || at === last[previous]) {
          previous = id;
          continue;
        }
      }
      // Before the packets that lead beyond the last block: `finish` writes how the trace ends.
      if (this.blocks === limit) break;
      if (previous < 0) encoder.enable(at);
      else {
        switch (kind[previous]) {
          case Transfer.none:
            this.#interrupt(start[previous], at);
            break;
          case Transfer.jcc:
            if (at === target[previous]) encoder.branch(true);
            else if (at === end[previous]) encoder.branch(false);
            else this.#interrupt(last[previous], at);
            break;
          case Transfer.call:
          case Transfer.jmp:
            // Signals are taken between translation blocks: the transfer itself was made.
            if (this.#follow(previous) !== at) this.#interrupt(this.#reached(previous), at);
            break;
          case Transfer.ret:
          case Transfer.icall:
          case Transfer.ijmp:
            if (this.#handlers.has(at)) this.#interrupt(last[previous], at);
            else if (kind[previous] === Transfer.ret) encoder.return(at);
            else {
              if (kind[previous] === Transfer.icall) encoder.call(end[previous]);
              encoder.indirect(at);
            }
            break;
          default:
            encoder.disable();
            encoder.enable(at);
        }
      }
      encoder.synchronize(at);
      this.#blockStart = at;
      this.#onBlock?.(at);
      this.blocks++;
      previous = id;
    }
    this.#previous = previous;
  }

  /** @param died  whether a signal ended the program while this thread ran */
  finish(died: boolean): void {
    const previous = this.#previous;
    const { kind, last } = this.#table;
    if (previous >= 0) {
      const isInKernel = kind[previous] === Transfer.syscall || kind[previous] === Transfer.far;
      // QEMU does not say at which instruction of its block; that block did not end.
      if (died && !isInKernel) this.#encoder.interrupt(last[previous]);
      // A bare TIP.PGD would let a decoder follow direct transfers into code that never ran.
      else if (this.#isDirect(previous)) {
        this.#follow(previous);
        this.#encoder.disable(this.#reached(previous));
      } else this.#encoder.disable();
    }
    this.#encoder.finish();
  }

  #isDirect(id: number): boolean {
    const kind = this.#table.kind[id];
    return kind === Transfer.jmp || kind === Transfer.call;
  }

  /** Makes a direct transfer, which costs no packet. @returns where it goes */
  #follow(id: number): Address {
    const { kind, target, end } = this.#table;
    // `call` to the next instruction only reads the instruction pointer; nothing returns to it.
    if (kind[id] === Transfer.call && target[id] !== end[id]) this.#encoder.call(end[id]);
    return target[id];
  }

  /**
   * @returns what tells that flow came to the end of a block with a direct transfer: its target; for
   *   a loop into the block itself, the transfer, because its target was passed before
   */
  #reached(id: number): Address {
    const { end, last, target } = this.#table;
    const isLoop = target[id] >= this.#blockStart && target[id] < end[id];
    return isLoop ? last[id] : target[id];
  }

  #interrupt(from: Address, to: Address): void {
    this.interrupts++;
    this.#encoder.interrupt(from);
    this.#encoder.enable(to);
  }
}
