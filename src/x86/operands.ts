import {
  Decoder,
  DecoderError,
  DecoderOptions,
  Instruction,
  InstructionInfoFactory,
  OpAccess,
  RegisterExt,
} from 'iced-x86';
import { readApx } from './apx.ts';
import { maxInstructionBytes, transferOf } from './block-reader.ts';
import { Encoding } from './encoding.ts';
import { InstructionLength } from './instruction-length.ts';
import { Transfer } from './transfer.ts';

/** What an instruction does to its operands, as far as following values needs it. */
export const Operation = {
  /** Anything else; `reads` and `writes` still hold. */
  other: 0,
  move: 1,
  /** `lea`: the first operand becomes the memory operand's address. */
  address: 2,
  /** Moves that widen by zeros, from `narrow` bytes. */
  zeroExtend: 3,
  /** Moves that widen by the sign, from `narrow` bytes. */
  signExtend: 4,
  add: 5,
  subtract: 6,
  and: 7,
  exclusiveOr: 8,
  shiftLeft: 9,
  compare: 10,
  push: 11,
  pop: 12,
  /** `cmovCC`: as a move, or not at all. */
  maybeMove: 13,
  /** `xchg` and the like are `other`. A `call` or branch; see `transfer`. */
  transfer: 14,
} as const;

/**
 * An operand: a register's number (0 = rax, 15 = r15), or one of these. The second byte of a
 * register (`ah`) is `highByte` plus the register's number.
 */
export const Operand = { none: -1, memory: 16, immediate: 17, highByte: 18 } as const;

/** In `base`: the address behind the instruction. */
export const instructionPointer = 16;

/**
 * Reads one instruction's operands in 32- or 64-bit code: common ones of the general registers by
 * table, of all others only which general registers they read and write.
 *
 * Masks have bit `n` set for register number `n`; a part of a register counts as the register.
 */
export class Operands {
  length = 0;
  /** `Transfer` kind. */
  transfer = 0;
  /** Of a direct transfer: target, in bytes from the end of the instruction. */
  displacementOfTransfer = 0;
  operation = 0;
  /** Bytes of the first operand. */
  size = 0;
  /** Bytes of the second operand, where a move widens. */
  narrow = 0;
  /** Destination, or the left side of a comparison. */
  first = -1;
  second = -1;
  base = -1;
  index = -1;
  scale = 1;
  displacement = 0;
  immediate = 0;
  /** Condition code of `jcc`, `cmovCC`: 0 = O ... 15 = G. */
  condition = -1;
  reads = 0;
  writes = 0;
  /** Whether the arithmetic flags may change. */
  setsFlags = false;
  /** Whether the memory operand is written. */
  stores = false;
  readonly #lengths = new InstructionLength();
  readonly #code = new Encoding();
  readonly #instruction = new Instruction();
  readonly #info = new InstructionInfoFactory();

  /** @returns bytes of the instruction at `at`; 0 where there is none, or it is cut */
  read(bytes: Uint8Array, at: number, is64: boolean): number {
    this.operation = Operation.other;
    this.size = is64 ? 8 : 4;
    this.narrow = 0;
    this.first = Operand.none;
    this.second = Operand.none;
    this.base = -1;
    this.index = -1;
    this.scale = 1;
    this.displacement = 0;
    this.immediate = 0;
    this.condition = -1;
    this.reads = 0;
    this.writes = 0;
    this.setsFlags = false;
    this.stores = false;
    this.displacementOfTransfer = 0;
    const length = this.#lengths.read(bytes, at, is64);
    this.length = length;
    if (length === 0) return this.#readFully(bytes, at, is64, true);
    this.transfer = this.#lengths.kind;
    this.displacementOfTransfer = this.#lengths.displacement;
    if (!this.#byTable(bytes, at, is64)) this.#effectsFully(bytes, at, is64);
    if (this.transfer !== Transfer.none) this.operation = Operation.transfer;
    return length;
  }

  dispose(): void {
    this.#instruction.free();
    this.#info.free();
  }

  /** Reads no more than length, `transfer` and where it leads. @returns see `read` */
  readFlow(bytes: Uint8Array, at: number, is64: boolean): number {
    this.length = this.#lengths.read(bytes, at, is64);
    if (this.length === 0) return this.#readFully(bytes, at, is64, false);
    this.transfer = this.#lengths.kind;
    this.displacementOfTransfer = this.#lengths.displacement;
    return this.length;
  }

  /** Reads the operand bytes from the ModRM byte on. @returns the place behind them */
  #memory(): number {
    const code = this.#code;
    const { rex, modrm } = code;
    const mode = modrm >> 6;
    const rm = modrm & 7;
    let place = code.place + 1;
    if (mode === 3) return place;
    this.base = rm | ((rex & 1) << 3);
    if (rm === 4) {
      const sib = code.uint8(place++);
      const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
      this.base = (sib & 7) | ((rex & 1) << 3);
      this.index = index === 4 ? -1 : index;
      this.scale = 1 << (sib >> 6);
      if ((sib & 7) === 5 && mode === 0) {
        this.base = -1;
        this.displacement = code.int32(place);
        return place + 4;
      }
    } else if (rm === 5 && mode === 0) {
      this.base = code.is64 ? instructionPointer : -1;
      this.displacement = code.int32(place);
      return place + 4;
    }
    if (mode === 1) {
      this.displacement = code.int8(place);
      return place + 1;
    }
    if (mode === 2) {
      this.displacement = code.int32(place);
      return place + 4;
    }
    return place;
  }

  #addressReads(): number {
    const base = this.base >= 0 && this.base < 16 ? 1 << this.base : 0;
    return base | (this.index >= 0 ? 1 << this.index : 0);
  }

  /** A register operand of one byte: without REX, numbers 4 to 7 are the second bytes of 0 to 3. */
  #register(number: number, isByte: boolean): number {
    const isHigh = isByte && this.#code.rex === 0 && number >= 4 && number < 8;
    return isHigh ? Operand.highByte + number - 4 : number;
  }

  /** @returns whether the table knows the operands of the instruction */
  #byTable(bytes: Uint8Array, at: number, is64: boolean): boolean {
    const code = this.#code;
    if (!code.read(bytes, at, is64)) return false;
    const { opcode } = code;
    if (opcode === 0x0f) {
      code.escape();
      return this.#twoByte();
    }
    if (opcode < 0x40) return this.#arithmetic();
    if (opcode >= 0x50 && opcode < 0x60) return this.#stackRegister();
    if (opcode >= 0x70 && opcode < 0x80) return this.#conditional();
    if (opcode >= 0xb8 && opcode < 0xc0) return this.#moveConstant();
    switch (opcode) {
      case 0x68:
      case 0x6a:
        return this.#pushConstant();
      case 0x63:
        return this.#moveSigned();
      case 0x84:
      case 0x85:
        return this.#test();
      case 0x88:
      case 0x89:
      case 0x8a:
      case 0x8b:
        this.#twoOperands((opcode & 1) === 0, opcode < 0x8a);
        return this.#moved();
      case 0x8d:
        return this.#loadAddress();
      case 0x80:
      case 0x81:
      case 0x83:
        return this.#arithmeticConstant();
      case 0xc0:
      case 0xc1:
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3:
        return this.#shift();
      case 0xc6:
      case 0xc7:
        return this.#storeConstant();
      case 0x98:
        return this.#extendAccumulator();
      case 0xe8:
      case 0xe9:
      case 0xeb:
      case 0xc3:
        this.reads = opcode === 0xe8 || opcode === 0xc3 ? 16 : 0;
        this.writes = this.reads;
        return true;
      case 0xff:
        return code.group < 2 ? this.#countOne() : this.#transferOrPush();
      case 0x90:
        return code.rex === 0;
      default:
        return false;
    }
  }

  /** Jcc. */
  #conditional(): boolean {
    this.condition = this.#code.opcode & 15;
    return true;
  }

  /** PUSH and POP of a register. */
  #stackRegister(): boolean {
    const { opcode, opcodeRegister: register, is64, isShort } = this.#code;
    this.size = is64 ? 8 : 4;
    this.first = register;
    const isPush = opcode < 0x58;
    this.operation = isPush ? Operation.push : Operation.pop;
    this.reads = 16 | (isPush ? 1 << register : 0);
    this.writes = 16 | (isPush ? 0 : 1 << register);
    return !isShort;
  }

  #pushConstant(): boolean {
    const code = this.#code;
    this.operation = Operation.push;
    this.first = Operand.immediate;
    this.immediate = code.opcode === 0x68 ? code.int32(code.place) : code.int8(code.place);
    this.reads = 16;
    this.writes = 16;
    return !code.isShort;
  }

  /** MOV of a constant to a register. */
  #moveConstant(): boolean {
    const code = this.#code;
    const { size, place } = code;
    this.operation = Operation.move;
    this.size = size;
    this.first = code.opcodeRegister;
    this.second = Operand.immediate;
    this.writes = 1 << this.first;
    this.immediate = size === 2 ? code.int16(place) & 0xffff : code.int32(place) >>> 0;
    if (size === 8) this.immediate += code.int32(place + 4) * 0x1_0000_0000;
    return true;
  }

  /** MOV of a constant to a register or memory. */
  #storeConstant(): boolean {
    const code = this.#code;
    const isByte = code.opcode === 0xc6;
    const behind = this.#oneOperand(isByte ? 1 : code.size);
    this.second = Operand.immediate;
    this.immediate = isByte ? code.uint8(behind) : code.int32(behind);
    return this.#moved();
  }

  /** MOV, its operands read. */
  #moved(): boolean {
    const left = maskOf(this.first);
    this.operation = Operation.move;
    this.reads = this.#addressReads() | maskOf(this.second);
    this.writes = left;
    this.stores = this.first === Operand.memory;
    // What a part of a register gets leaves the rest of it.
    if (this.size < 4) this.reads |= left;
    return true;
  }

  /** MOVSXD. */
  #moveSigned(): boolean {
    this.#twoOperands(false, false);
    this.#moved();
    this.narrow = 4;
    if (this.size === 8) this.operation = Operation.signExtend;
    return this.size === 8;
  }

  /** TEST. */
  #test(): boolean {
    this.#twoOperands(this.#code.opcode === 0x84, true);
    this.operation = Operation.other;
    this.setsFlags = true;
    this.reads = this.#addressReads() | maskOf(this.first) | maskOf(this.second);
    return true;
  }

  /** LEA. */
  #loadAddress(): boolean {
    this.#twoOperands(false, false);
    this.operation = Operation.address;
    this.reads = this.#addressReads();
    this.writes = maskOf(this.first);
    return true;
  }

  /** ADD, OR, ... CMP with a constant. */
  #arithmeticConstant(): boolean {
    const code = this.#code;
    const behind = this.#oneOperand(code.opcode === 0x80 ? 1 : code.size);
    this.second = Operand.immediate;
    this.immediate = code.opcode === 0x81 ? code.constant(behind) : code.int8(behind);
    this.#arithmeticEffects(code.group);
    return true;
  }

  /** Shifts and rotations by a constant, by one or by CL. */
  #shift(): boolean {
    const code = this.#code;
    const { opcode } = code;
    const behind = this.#oneOperand((opcode & 1) === 0 ? 1 : code.size);
    this.second = opcode < 0xd2 ? Operand.immediate : 1;
    this.immediate = opcode < 0xd0 ? code.uint8(behind) : 1;
    this.setsFlags = true;
    const left = maskOf(this.first);
    this.reads = this.#addressReads() | left | (opcode < 0xd2 ? 0 : 2);
    this.writes = left;
    this.stores = this.first === Operand.memory;
    if (code.group === 4 && opcode < 0xd2) this.operation = Operation.shiftLeft;
    return true;
  }

  /** CBW, CWDE, CDQE. */
  #extendAccumulator(): boolean {
    const { size } = this.#code;
    this.operation = size === 8 ? Operation.signExtend : Operation.other;
    this.size = size;
    this.narrow = size / 2;
    this.first = 0;
    this.second = 0;
    this.reads = 1;
    this.writes = 1;
    return true;
  }

  /** INC and DEC. */
  #countOne(): boolean {
    const code = this.#code;
    this.#oneOperand(code.size);
    this.reads = this.#addressReads() | maskOf(this.first);
    this.writes = maskOf(this.first);
    this.stores = this.first === Operand.memory;
    this.setsFlags = true;
    this.operation = code.group === 0 ? Operation.add : Operation.subtract;
    this.second = Operand.immediate;
    this.immediate = 1;
    return true;
  }

  /** CALL, JMP and PUSH of a register or memory. */
  #transferOrPush(): boolean {
    const { is64, group, isShort } = this.#code;
    this.#oneOperand(is64 ? 8 : 4);
    this.reads = this.#addressReads() | maskOf(this.first);
    if (group !== 4) {
      this.reads |= 16;
      this.writes = 16;
    }
    if (group === 6) this.operation = Operation.push;
    return !isShort;
  }

  /** Opcodes behind the escape byte 0F. */
  #twoByte(): boolean {
    const { opcode } = this.#code;
    if (opcode >= 0x80 && opcode < 0x90) return this.#conditional();
    if (opcode >= 0x40 && opcode < 0x50) return this.#moveIf();
    switch (opcode) {
      case 0xb6:
      case 0xb7:
      case 0xbe:
      case 0xbf:
        return this.#extend();
      case 0x1f:
      case 0x1e:
        // NOP and ENDBR touch nothing.
        return true;
      default:
        return false;
    }
  }

  /** CMOVcc. */
  #moveIf(): boolean {
    this.#twoOperands(false, false);
    this.operation = Operation.maybeMove;
    this.condition = this.#code.opcode & 15;
    this.reads = this.#addressReads() | maskOf(this.second);
    this.writes = maskOf(this.first);
    return true;
  }

  /** MOVZX and MOVSX. */
  #extend(): boolean {
    const { opcode } = this.#code;
    this.#twoOperands(false, false);
    this.narrow = (opcode & 1) === 0 ? 1 : 2;
    if (this.second < 16) this.second = this.#register(this.second, this.narrow === 1);
    this.operation = opcode < 0xb8 ? Operation.zeroExtend : Operation.signExtend;
    this.reads = this.#addressReads() | maskOf(this.second);
    this.writes = maskOf(this.first);
    if (this.size === 2) this.reads |= maskOf(this.first);
    return true;
  }

  /** Opcodes below 0x40: eight operations in six forms. */
  #arithmetic(): boolean {
    const code = this.#code;
    const form = code.opcode & 7;
    if (form > 5) return false;
    const isByte = (form & 1) === 0;
    if (form < 4) {
      this.#twoOperands(isByte, form < 2);
    } else {
      this.first = 0;
      this.second = Operand.immediate;
      this.size = isByte ? 1 : code.size;
      this.immediate = isByte ? code.int8(code.place) : code.constant(code.place);
    }
    this.#arithmeticEffects(code.opcode >> 3);
    return true;
  }

  /** @param group  ADD, OR, ADC, SBB, AND, SUB, XOR, CMP */
  #arithmeticEffects(group: number): void {
    this.operation = operations[group];
    this.setsFlags = true;
    const left = maskOf(this.first);
    const right = maskOf(this.second);
    this.reads = this.#addressReads() | left | right;
    if (group !== 7) {
      this.writes = left;
      this.stores = this.first === Operand.memory;
    }
    // xor and sub of a register with itself make zero whatever it held.
    const isZero = (group === 5 || group === 6) && this.first === this.second && this.first < 16;
    if (isZero && this.size >= 4) {
      this.operation = Operation.move;
      this.second = Operand.immediate;
      this.immediate = 0;
      this.reads = 0;
    }
  }

  /** @param isStore  the ModRM byte's memory or register operand is the first one */
  #twoOperands(isByte: boolean, isStore: boolean): void {
    const { modrm, rex } = this.#code;
    this.#oneOperand(isByte ? 1 : this.#code.size);
    const register = this.#register(((modrm >> 3) & 7) | ((rex & 4) << 1), isByte);
    if (isStore) {
      this.second = register;
    } else {
      this.second = this.first;
      this.first = register;
    }
  }

  /** @returns the place behind it */
  #oneOperand(size: number): number {
    const { modrm, rex } = this.#code;
    this.size = size;
    this.first =
      modrm >= 0xc0 ? this.#register((modrm & 7) | ((rex & 1) << 3), size === 1) : Operand.memory;
    return this.#memory();
  }

  /** Decodes with the full decoder what the tables of lengths do not know. */
  #readFully(bytes: Uint8Array, at: number, is64: boolean, hasEffects: boolean): number {
    this.length = 0;
    this.transfer = Transfer.none;
    this.displacementOfTransfer = 0;
    this.#effectsFully(bytes, at, is64, hasEffects);
    const instruction = this.#instruction;
    if (this.length > 0) {
      this.transfer = transferOf(instruction);
      const isDirect = this.transfer !== Transfer.none && this.transfer <= Transfer.jmp;
      if (isDirect || this.transfer === Transfer.call) {
        const target = BigInt.asIntN(is64 ? 64 : 32, instruction.nearBranchTarget);
        this.displacementOfTransfer = Number(target) - this.length;
      }
    } else {
      const apx = is64 ? readApx(bytes.subarray(at, at + maxInstructionBytes)) : undefined;
      if (apx?.kind === 'other' || apx?.kind === 'jmpabs') this.length = apx.length;
      if (apx?.kind === 'jmpabs') this.transfer = Transfer.ijmp;
    }
    if (this.transfer !== Transfer.none) this.operation = Operation.transfer;
    return this.length;
  }

  #effectsFully(bytes: Uint8Array, at: number, is64: boolean, hasEffects: boolean = true): void {
    const decoder = new Decoder(
      is64 ? 64 : 32,
      bytes.subarray(at, at + maxInstructionBytes),
      DecoderOptions.None,
    );
    this.operation = Operation.other;
    this.first = Operand.none;
    this.second = Operand.none;
    this.base = -1;
    this.index = -1;
    this.setsFlags = true;
    this.stores = true;
    this.reads = 0;
    this.writes = 0;
    try {
      decoder.decodeOut(this.#instruction);
      if (decoder.lastError !== DecoderError.None) {
        this.writes = 0xffff;
        return;
      }
      this.length = this.#instruction.length;
      if (!hasEffects) return;
      const info = this.#info.info(this.#instruction);
      for (const used of info.usedRegisters()) {
        const { register, access } = used;
        used.free();
        if (!RegisterExt.isGPR(register)) continue;
        const bit = 1 << RegisterExt.number(RegisterExt.fullRegister(register));
        if (isRead(access)) this.reads |= bit;
        if (isWrite(access)) this.writes |= bit;
      }
      info.free();
    } finally {
      decoder.free();
    }
  }
}

/** What the eight operations of the oldest opcodes are here: ADD, OR, ADC, SBB, AND, SUB, XOR, CMP. */
const operations: readonly number[] = [
  Operation.add,
  Operation.other,
  Operation.other,
  Operation.other,
  Operation.and,
  Operation.subtract,
  Operation.exclusiveOr,
  Operation.compare,
];

function maskOf(operand: number): number {
  if (operand >= Operand.highByte) return 1 << (operand - Operand.highByte);
  return operand >= 0 && operand < 16 ? 1 << operand : 0;
}

function isRead(access: OpAccess): boolean {
  return (
    access === OpAccess.Read ||
    access === OpAccess.CondRead ||
    access === OpAccess.ReadWrite ||
    access === OpAccess.ReadCondWrite
  );
}

function isWrite(access: OpAccess): boolean {
  return (
    access === OpAccess.Write ||
    access === OpAccess.CondWrite ||
    access === OpAccess.ReadWrite ||
    access === OpAccess.ReadCondWrite
  );
}
