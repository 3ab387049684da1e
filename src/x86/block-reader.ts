import {
  Decoder,
  DecoderError,
  DecoderOptions,
  FlowControl,
  Instruction,
  Mnemonic,
  OpKind,
} from 'iced-x86';
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

/**
 * Reads basic blocks from one run of code bytes.
 *
 * Holds a copy of the bytes in the decoder's own memory; `dispose` frees it.
 */
export class BlockReader {
  readonly #decoder: Decoder;
  readonly #instruction: Instruction = new Instruction();
  readonly #length: number;
  readonly #bitness: Bitness;

  constructor(bytes: Uint8Array, bitness: Bitness) {
    this.#decoder = new Decoder(bitness, bytes, DecoderOptions.None);
    this.#length = bytes.length;
    this.#bitness = bitness;
  }

  /** Reads the block at `offset` into `shape`. @returns `shape` */
  read(offset: number, shape: BlockShape): BlockShape {
    const decoder = this.#decoder;
    const instruction = this.#instruction;
    shape.kind = Transfer.none;
    shape.size = 0;
    shape.lastInstruction = 0;
    shape.instructions = 0;
    shape.target = 0;
    shape.end = 'cut';
    if (offset < 0 || offset >= this.#length) return shape;
    decoder.position = offset;
    // Addresses count from the block's start, so that direct targets come out relative to it.
    decoder.ip = 0n;
    for (;;) {
      if (!decoder.canDecode) return shape;
      decoder.decodeOut(instruction);
      if (decoder.lastError !== DecoderError.None) {
        shape.end = decoder.lastError === DecoderError.NoMoreBytes ? 'cut' : 'invalid';
        return shape;
      }
      shape.lastInstruction = shape.size;
      shape.size += instruction.length;
      shape.instructions++;
      const flow = instruction.flowControl;
      if (flow !== FlowControl.Next) {
        shape.kind = kindOf(instruction, flow);
        if (shape.kind !== Transfer.none) {
          if (shape.kind <= Transfer.jmp || shape.kind === Transfer.call) {
            // Outside 64-bit code the target comes out modulo 2^16 or 2^32.
            const bits = instruction.op0Kind === OpKind.NearBranch16 ? 16 : this.#bitness;
            shape.target = Number(BigInt.asIntN(bits, instruction.nearBranchTarget));
          }
          shape.end = 'transfer';
          return shape;
        }
        if (flow === FlowControl.Exception) {
          shape.end = 'fault';
          return shape;
        }
      }
      if (shape.instructions === maxInstructions) {
        shape.end = 'long';
        return shape;
      }
    }
  }

  dispose(): void {
    this.#decoder.free();
    this.#instruction.free();
  }
}

/**
 * Iced counts SYSCALL and the virtualization calls as calls, and IRET as a return.
 *
 * @returns `Transfer.none` for instructions that go on to the next one, or fault
 */
function kindOf(instruction: Instruction, flow: FlowControl): TransferKind {
  switch (flow) {
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
