import {
  Decoder,
  DecoderError,
  DecoderOptions,
  FlowControl,
  Instruction,
  Mnemonic,
  OpKind,
} from 'iced-x86';
import { readApx } from './apx.ts';
import { InstructionLength } from './instruction-length.ts';
import { Transfer, type TransferKind } from './transfer.ts';

export type Bitness = 16 | 32 | 64;

/** One basic block of code, as its bytes say. Overwritten by each `BlockReader.read`. */
export interface BlockShape {
  kind: TransferKind;
  /** Bytes from the start of the block to the end of its last instruction. */
  size: number;
  /** Bytes from the start of the block to the start of its last instruction. */
  lastInstruction: number;
  instructions: number;
  /** Target of a direct transfer, in bytes from the start of the block. */
  target: number;
  /** How reading ended. `cut`: the bytes end before the block does; `invalid`: bytes that are no instruction. */
  end: 'transfer' | 'cut' | 'invalid' | 'fault' | 'long';
}

/** A block longer than this is no code that anybody runs without a branch. */
const maxInstructions = 65536;

/** The longest x86 instruction, in bytes. */
export const maxInstructionBytes = 15;

/** @returns a shape to read into */
export function emptyShape(): BlockShape {
  return {
    kind: Transfer.none,
    size: 0,
    lastInstruction: 0,
    instructions: 0,
    target: 0,
    end: 'cut',
  };
}

/** Makes a shape that of a block without bytes. */
export function clearShape(shape: BlockShape): void {
  Object.assign(shape, emptyShape());
}

/**
 * Reads basic blocks from one run of code bytes: common instructions by table, the others with the
 * full decoder, one at a time.
 */
export class BlockReader {
  readonly #bytes: Uint8Array;
  readonly #bitness: Bitness;
  readonly #lengths: InstructionLength | undefined;
  readonly #instruction: Instruction = new Instruction();

  /** @param isByTable  false decodes all instructions in full, as a judge of the tables */
  constructor(bytes: Uint8Array, bitness: Bitness, isByTable: boolean = true) {
    this.#bytes = bytes;
    this.#bitness = bitness;
    if (isByTable && bitness !== 16) this.#lengths = new InstructionLength();
  }

  /** Reads the block at `offset` into `shape`. @returns `shape` */
  read(offset: number, shape: BlockShape): BlockShape {
    const bytes = this.#bytes;
    const lengths = this.#lengths;
    const is64 = this.#bitness === 64;
    shape.kind = Transfer.none;
    shape.lastInstruction = 0;
    shape.target = 0;
    shape.end = 'cut';
    let size = 0;
    let instructions = 0;
    if (offset >= 0) {
      while (offset + size < bytes.length) {
        const length = lengths === undefined ? 0 : lengths.read(bytes, offset + size, is64);
        const added = length > 0 ? length : this.#decode(offset + size, size, shape);
        if (added === 0) break;
        shape.lastInstruction = size;
        size += added;
        instructions++;
        if (length > 0) {
          const { kind } = lengths as InstructionLength;
          if (kind !== Transfer.none) {
            shape.kind = kind as TransferKind;
            shape.end = 'transfer';
            if (kind <= Transfer.jmp || kind === Transfer.call) {
              const target = size + (lengths as InstructionLength).displacement;
              shape.target = is64 ? target : target | 0;
            }
            break;
          }
        } else if (shape.end !== 'cut') break;
        if (instructions === maxInstructions) {
          shape.end = 'long';
          break;
        }
      }
    }
    shape.size = size;
    shape.instructions = instructions;
    return shape;
  }

  /**
   * Decodes the instruction at `at`, `size` bytes into its block. A transfer or fault ends the shape.
   *
   * @returns its bytes; 0 where there is none, with the reason in the shape
   */
  #decode(at: number, size: number, shape: BlockShape): number {
    const decoder = new Decoder(
      this.#bitness,
      this.#bytes.subarray(at, at + maxInstructionBytes),
      DecoderOptions.None,
    );
    const instruction = this.#instruction;
    try {
      // Addresses count from the block's start, so that direct targets come out relative to it.
      decoder.ip = BigInt(size);
      decoder.decodeOut(instruction);
      if (decoder.lastError !== DecoderError.None) {
        shape.end = decoder.lastError === DecoderError.NoMoreBytes ? 'cut' : 'invalid';
        return this.#decodeApx(at, size, shape);
      }
      const flow = instruction.flowControl;
      if (flow !== FlowControl.Next) {
        shape.kind = transferOf(instruction);
        if (shape.kind !== Transfer.none) {
          if (shape.kind <= Transfer.jmp || shape.kind === Transfer.call) {
            // Outside 64-bit code the target comes out modulo 2^16 or 2^32.
            const bits = instruction.op0Kind === OpKind.NearBranch16 ? 16 : this.#bitness;
            shape.target = Number(BigInt.asIntN(bits, instruction.nearBranchTarget));
          }
          shape.end = 'transfer';
        } else if (flow === FlowControl.Exception) {
          shape.end = 'fault';
        }
      }
      return instruction.length;
    } finally {
      decoder.free();
    }
  }

  /** Decodes what only processors with APX know. @returns its bytes; 0 where it is none of that, either */
  #decodeApx(at: number, size: number, shape: BlockShape): number {
    if (this.#bitness !== 64) return 0;
    const bytes = this.#bytes.subarray(at, at + maxInstructionBytes);
    const apx = readApx(bytes);
    if (apx === undefined) return 0;
    shape.end = apx.kind === 'cut' && bytes.length >= maxInstructionBytes ? 'invalid' : 'cut';
    if (apx.kind === 'cut') return 0;
    if (apx.kind === 'rex2') {
      const reader = new BlockReader(apx.older, 64, false);
      const length = reader.#decode(0, size, shape);
      reader.dispose();
      return length > 0 ? length + apx.shorter : 0;
    }
    if (apx.kind === 'jmpabs') {
      shape.kind = Transfer.ijmp;
      shape.end = 'transfer';
    }
    return apx.length;
  }

  dispose(): void {
    this.#instruction.free();
  }
}

/**
 * Iced counts SYSCALL and the virtualization calls as calls, and IRET as a return.
 *
 * @returns `Transfer.none` for instructions that go on to the next one, or fault
 */
export function transferOf(instruction: Instruction): TransferKind {
  switch (instruction.flowControl) {
    case FlowControl.ConditionalBranch:
      return Transfer.jcc;
    case FlowControl.UnconditionalBranch:
      return instruction.isJmpShortOrNear ? Transfer.jmp : Transfer.far;
    case FlowControl.IndirectBranch:
      return instruction.isJmpNearIndirect ? Transfer.ijmp : Transfer.far;
    case FlowControl.IndirectCall:
      return instruction.isCallNearIndirect ? Transfer.icall : Transfer.far;
    case FlowControl.Return:
      return instruction.mnemonic === Mnemonic.Ret ? Transfer.ret : Transfer.far;
    case FlowControl.Interrupt:
      return Transfer.syscall;
    case FlowControl.Call:
      if (instruction.isCallNear) return Transfer.call;
      if (instruction.isCallFar) return Transfer.far;
      switch (instruction.mnemonic) {
        case Mnemonic.Syscall:
        case Mnemonic.Sysenter:
          return Transfer.syscall;
        case Mnemonic.Vmlaunch:
        case Mnemonic.Vmresume:
          return Transfer.far;
        default:
          return Transfer.none;
      }
    default:
      return Transfer.none;
  }
}
