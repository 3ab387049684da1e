import { type Address, low32 } from '../../base/address.ts';
import { UserError } from '../../base/errors.ts';
import type { PtEncoder } from '../../pt/encoder.ts';
import { BlockReader, type BlockShape, emptyShape } from '../../x86/block-reader.ts';
import { Transfer } from '../../x86/transfer.ts';

/** How a translation block ends. */
export interface BlockEnd {
  /** A `Transfer` kind. */
  readonly kind: number;
  /** Of a direct transfer. */
  readonly target: Address;
}

/** Where a `BlockEncoder` stands between two translation blocks. */
export interface BlockEncoderState {
  /** The last translation block, and the first one of the basic block that it belongs to; -1 = none so far. */
  readonly previous: number;
  readonly block: number;
  readonly isCut: boolean;
  readonly blocks: number;
}

const noBytes = new Uint8Array(0);

/** Code that QEMU translated as one piece, by id. It ends at a transfer, a page or a special instruction. */
export class TranslationTable {
  readonly bitness: 32 | 64;
  readonly start: Address[] = [];
  readonly end: Address[] = [];
  /** Start of the last instruction. */
  readonly last: Address[] = [];
  /** `Transfer` kind of the last instruction; `none` where the block goes on. */
  readonly kind: number[] = [];
  readonly target: Address[] = [];
  /** Block that was seen to run on from the end, or from the last instruction once more; -1 = none yet. */
  readonly next: number[] = [];
  /** Block that was seen to run at the target; -1 = none yet. */
  readonly taken: number[] = [];
  /** Empty where it is known that a block is as its file has it. */
  readonly bytes: Uint8Array[] = [];
  readonly #shape: BlockShape = emptyShape();
  /** What was translated last from each address: QEMU does it again where it has forgotten. */
  readonly #last: Map<Address, Uint8Array> = new Map();

  constructor(bitness: 32 | 64) {
    this.bitness = bitness;
  }

  /** @param end  how the block ends, where that is known; else it is read from the bytes */
  add(id: number, start: Address, last: Address, bytes: Uint8Array, end?: BlockEnd): void {
    const { kind, target } = end ?? this.#endOf(start, bytes);
    this.start[id] = start;
    this.end[id] = start + bytes.length;
    this.last[id] = last;
    const known = this.#last.get(start);
    this.bytes[id] = known !== undefined && Buffer.compare(known, bytes) === 0 ? known : bytes;
    this.#last.set(start, this.bytes[id]);
    this.kind[id] = kind;
    this.target[id] = target;
    this.next[id] = -1;
    this.taken[id] = -1;
  }

  #endOf(start: Address, bytes: Uint8Array): BlockEnd {
    const reader = new BlockReader(bytes, this.bitness);
    const shape = reader.read(0, this.#shape);
    reader.dispose();
    const target = start + shape.target;
    return {
      kind: shape.end === 'transfer' ? shape.kind : Transfer.none,
      target: this.bitness === 32 ? low32(target) : target,
    };
  }

  /** What a block has is in its file. */
  forgetBytes(id: number): void {
    this.bytes[id] = noBytes;
    this.#last.delete(this.start[id]);
  }

  /** @returns a table of the first blocks, which goes its own way from there on */
  copy(length: number): TranslationTable {
    const other = new TranslationTable(this.bitness);
    for (const list of ['start', 'end', 'last', 'kind', 'target'] as const) {
      // One after the other: arguments of a call are limited.
      for (let id = 0; id < length; id++) other[list].push(this[list][id]);
    }
    for (let id = 0; id < length; id++) {
      other.bytes.push(this.bytes[id]);
      // What was seen to follow may be a block that the copy does not have.
      other.next.push(-1);
      other.taken.push(-1);
    }
    return other;
  }
}

/** Turns the translation blocks that one thread executed into basic blocks and Intel PT packets. */
export class BlockEncoder {
  readonly #table: TranslationTable;
  readonly #encoder: PtEncoder;
  readonly #handlers: ReadonlySet<Address>;
  readonly #onBlock: ((address: Address) => void) | undefined;
  #previous = -1;
  /** First piece of the current basic block. */
  #block = 0;
  /** Whether something was left out at the limit: what comes after it does not continue what is told. */
  #isCut = false;
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

  /** Goes on where another encoder stood. Nothing was encoded here before. */
  goOn({ previous, block, isCut, blocks }: BlockEncoderState): void {
    this.#previous = previous;
    this.#block = block;
    this.#isCut = isCut;
    this.blocks = blocks;
  }

  /**
   * @param ids  translation blocks in the order of execution
   * @param limit  basic blocks in all
   * @throws UserError `recording-damaged` for a block that nobody told of
   */
  add(ids: Uint32Array, limit: number): void {
    if (this.#isCut) return;
    const { start, end, kind, target, next, taken } = this.#table;
    const encoder = this.#encoder;
    const onBlock = this.#onBlock;
    let previous = this.#previous;
    let block = this.#block;
    let blocks = this.blocks;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i];
      const how = previous < 0 ? Transfer.far : kind[previous];
      // Nearly every step is one that was made before: known by the two ids, no address is looked at.
      if (how === Transfer.none && next[previous] === id) {
        previous = id;
        continue;
      }
      if (how === Transfer.none && this.#goesOn(previous, id)) {
        next[previous] = id;
        previous = id;
        continue;
      }
      // Before the packets that lead beyond the last block: `finish` writes how the trace ends.
      if (blocks === limit) {
        this.#isCut = true;
        break;
      }
      const at = start[id];
      if (how === Transfer.jcc && taken[previous] === id) encoder.branch(true);
      else if (how === Transfer.jcc && next[previous] === id) encoder.branch(false);
      else if (how === Transfer.jmp && taken[previous] === id) {
        // Costs no packet.
      } else if (how === Transfer.call && taken[previous] === id) {
        if (target[previous] !== end[previous]) encoder.call(end[previous]);
      } else {
        this.#block = block;
        this.#step(previous, id);
      }
      encoder.synchronize(at);
      block = id;
      onBlock?.(at);
      blocks++;
      previous = id;
    }
    this.#previous = previous;
    this.#block = block;
    this.blocks = blocks;
  }

  /** Whether a block that ends without a transfer runs on into another piece of itself. */
  #goesOn(previous: number, id: number): boolean {
    const { start, end, last } = this.#table;
    this.#check(id);
    // One more round of a repeated string instruction comes back to the instruction itself.
    return start[id] === end[previous] || start[id] === last[previous];
  }

  /** Asked where a step is not one that was made before: who writes the ids may be hostile. */
  #check(id: number): void {
    const known = this.#table.start.length;
    if (id >= known) throw recordingDamaged(`runs block ${id} of ${known}`);
  }

  /** Any step from block to block, by addresses. */
  #step(previous: number, id: number): void {
    const { start, end, last, kind, target, next, taken } = this.#table;
    this.#check(id);
    const encoder = this.#encoder;
    const at = start[id];
    if (previous < 0) {
      encoder.enable(at);
      return;
    }
    switch (kind[previous]) {
      case Transfer.none:
        this.#interrupt(start[previous], at);
        return;
      case Transfer.jcc:
        if (at === target[previous]) {
          taken[previous] = id;
          encoder.branch(true);
        } else if (at === end[previous]) {
          next[previous] = id;
          encoder.branch(false);
        } else this.#interrupt(last[previous], at);
        return;
      case Transfer.call:
      case Transfer.jmp:
        // Signals are taken between translation blocks: the transfer itself was made.
        if (this.#follow(previous) === at) taken[previous] = id;
        else this.#interrupt(this.#reached(previous), at);
        return;
      case Transfer.ret:
      case Transfer.icall:
      case Transfer.ijmp:
        if (this.#handlers.size > 0 && this.#handlers.has(at)) this.#interrupt(last[previous], at);
        else if (kind[previous] === Transfer.ret) encoder.return(at);
        else {
          if (kind[previous] === Transfer.icall) encoder.call(end[previous]);
          encoder.indirect(at);
        }
        return;
      default:
        encoder.disable();
        encoder.enable(at);
    }
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
    const { start, end, last, target } = this.#table;
    const isLoop = target[id] >= start[this.#block] && target[id] < end[id];
    return isLoop ? last[id] : target[id];
  }

  #interrupt(from: Address, to: Address): void {
    this.interrupts++;
    this.#encoder.interrupt(from);
    this.#encoder.enable(to);
  }
}

/** @param what  what the recorder does that it must not */
export function recordingDamaged(what: string): UserError {
  return new UserError('recording-damaged', `the recorder ${what}`, { category: 'runtime' });
}
