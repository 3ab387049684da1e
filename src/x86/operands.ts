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

  /** Reads the operand bytes behind a ModRM opcode. @returns the place behind them */
  #modrm(bytes: Uint8Array, at: number, rex: number, isRip: boolean): number {
    const modrm = bytes[at];
    const mode = modrm >> 6;
    const rm = modrm & 7;
    let place = at + 1;
    if (mode === 3) return place;
    this.base = rm | ((rex & 1) << 3);
    if (rm === 4) {
      const sib = bytes[place++];
      const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
      this.base = (sib & 7) | ((rex & 1) << 3);
      this.index = index === 4 ? -1 : index;
      this.scale = 1 << (sib >> 6);
      if ((sib & 7) === 5 && mode === 0) {
        this.base = -1;
        this.displacement = int32(bytes, place);
        return place + 4;
      }
    } else if (rm === 5 && mode === 0) {
      this.base = isRip ? instructionPointer : -1;
      this.displacement = int32(bytes, place);
      return place + 4;
    }
    if (mode === 1) {
      this.displacement = (bytes[place] << 24) >> 24;
      return place + 1;
    }
    if (mode === 2) {
      this.displacement = int32(bytes, place);
      return place + 4;
    }
    return place;
  }

  #addressReads(): number {
    const base = this.base >= 0 && this.base < 16 ? 1 << this.base : 0;
    return base | (this.index >= 0 ? 1 << this.index : 0);
  }

  /** A register operand of one byte: without REX, numbers 4 to 7 are the second bytes of 0 to 3. */
  #register(number: number, isByte: boolean, rex: number): number {
    const isHigh = isByte && rex === 0 && number >= 4 && number < 8;
    return isHigh ? Operand.highByte + number - 4 : number;
  }

  /** @returns whether the table knows the operands of the instruction */
  #byTable(bytes: Uint8Array, at: number, is64: boolean): boolean {
    let place = at;
    let isShort = false;
    let byte = bytes[place];
    while (
      byte === 0x66 ||
      byte === 0xf2 ||
      byte === 0xf3 ||
      byte === 0x64 ||
      byte === 0x65 ||
      byte === 0x2e ||
      byte === 0x3e
    ) {
      // What lies in another segment, at fs or gs, has no address that the code knows.
      if (byte === 0x64 || byte === 0x65) return false;
      if (byte === 0x66) isShort = true;
      byte = bytes[++place];
    }
    let rex = 0;
    if (is64 && (byte & 0xf0) === 0x40) {
      rex = byte;
      byte = bytes[++place];
    }
    const full = (rex & 8) !== 0 ? 8 : isShort ? 2 : 4;
    place++;
    if (byte === 0x0f) return this.#twoByte(bytes, place, rex, full, is64);
    if (byte < 0x40) return this.#arithmetic(bytes, byte, place, rex, full, is64);
    if (byte >= 0x50 && byte < 0x60) return this.#stackRegister(byte, rex, is64) && !isShort;
    if (byte >= 0x70 && byte < 0x80) {
      this.condition = byte & 15;
      return true;
    }
    if (byte >= 0xb8 && byte < 0xc0) return this.#moveConstant(bytes, byte, place, rex, full);
    switch (byte) {
      case 0x68:
      case 0x6a:
        return this.#pushConstant(bytes, byte, place) && !isShort;
      case 0x63:
        this.#twoOperands(bytes, place, rex, full, is64, false);
        return this.#moveSigned(full);
      case 0x84:
      case 0x85:
        this.#twoOperands(bytes, place, rex, byte === 0x84 ? 1 : full, is64, true);
        this.operation = Operation.other;
        this.setsFlags = true;
        this.reads = this.#addressReads() | maskOf(this.first) | maskOf(this.second);
        return true;
      case 0x88:
      case 0x89:
      case 0x8a:
      case 0x8b:
        this.#twoOperands(bytes, place, rex, (byte & 1) === 0 ? 1 : full, is64, byte < 0x8a);
        return this.#moved();
      case 0x8d:
        this.#twoOperands(bytes, place, rex, full, is64, false);
        this.operation = Operation.address;
        this.reads = this.#addressReads();
        this.writes = maskOf(this.first);
        return true;
      case 0x80:
      case 0x81:
      case 0x83:
        return this.#arithmeticConstant(bytes, byte, place, rex, full, is64);
      case 0xc0:
      case 0xc1:
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3:
        return this.#shift(bytes, byte, place, rex, full, is64);
      case 0xc6:
      case 0xc7: {
        const behind = this.#oneOperand(bytes, place, rex, byte === 0xc6 ? 1 : full, is64);
        this.second = Operand.immediate;
        this.immediate = byte === 0xc6 ? bytes[behind] : int32(bytes, behind);
        return this.#moved();
      }
      case 0x98:
        return this.#extendAccumulator(full);
      case 0xe8:
      case 0xe9:
      case 0xeb:
      case 0xc3:
        this.reads = byte === 0xe8 || byte === 0xc3 ? 16 : 0;
        this.writes = this.reads;
        return true;
      case 0xff: {
        const group = (bytes[place] >> 3) & 7;
        if (group < 2) return this.#countOne(bytes, group, place, rex, full, is64);
        return this.#transferOrPush(bytes, group, place, rex, is64) && !isShort;
      }
      case 0x90:
        return rex === 0;
      default:
        return false;
    }
  }

  /** PUSH and POP of a register. */
  #stackRegister(byte: number, rex: number, is64: boolean): boolean {
    const register = (byte & 7) | ((rex & 1) << 3);
    this.size = is64 ? 8 : 4;
    this.first = register;
    const isPush = byte < 0x58;
    this.operation = isPush ? Operation.push : Operation.pop;
    this.reads = 16 | (isPush ? 1 << register : 0);
    this.writes = 16 | (isPush ? 0 : 1 << register);
    return true;
  }

  #pushConstant(bytes: Uint8Array, byte: number, place: number): boolean {
    this.operation = Operation.push;
    this.first = Operand.immediate;
    this.immediate = byte === 0x68 ? int32(bytes, place) : (bytes[place] << 24) >> 24;
    this.reads = 16;
    this.writes = 16;
    return true;
  }

  /** MOV of a constant to a register. */
  #moveConstant(
    bytes: Uint8Array,
    byte: number,
    place: number,
    rex: number,
    full: number,
  ): boolean {
    const register = (byte & 7) | ((rex & 1) << 3);
    this.operation = Operation.move;
    this.size = full;
    this.first = register;
    this.second = Operand.immediate;
    this.writes = 1 << register;
    if (full === 2) this.immediate = bytes[place] | (bytes[place + 1] << 8);
    else this.immediate = int32(bytes, place) >>> 0;
    if (full === 8) this.immediate += int32(bytes, place + 4) * 0x1_0000_0000;
    return true;
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

  /** MOVSXD, its operands read. */
  #moveSigned(full: number): boolean {
    this.#moved();
    this.narrow = 4;
    if (full === 8) this.operation = Operation.signExtend;
    return full === 8;
  }

  /** ADD, OR, ... CMP with a constant. */
  #arithmeticConstant(
    bytes: Uint8Array,
    byte: number,
    place: number,
    rex: number,
    full: number,
    is64: boolean,
  ): boolean {
    const behind = this.#oneOperand(bytes, place, rex, byte === 0x80 ? 1 : full, is64);
    this.second = Operand.immediate;
    this.immediate =
      byte !== 0x81
        ? (bytes[behind] << 24) >> 24
        : full === 2
          ? ((bytes[behind] | (bytes[behind + 1] << 8)) << 16) >> 16
          : int32(bytes, behind);
    this.#arithmeticEffects((bytes[place] >> 3) & 7);
    return true;
  }

  /** Shifts and rotations by a constant, by one or by CL. */
  #shift(
    bytes: Uint8Array,
    byte: number,
    place: number,
    rex: number,
    full: number,
    is64: boolean,
  ): boolean {
    const group = (bytes[place] >> 3) & 7;
    const behind = this.#oneOperand(bytes, place, rex, (byte & 1) === 0 ? 1 : full, is64);
    this.second = byte < 0xd2 ? Operand.immediate : 1;
    this.immediate = byte < 0xd0 ? bytes[behind] : 1;
    this.setsFlags = true;
    const left = maskOf(this.first);
    this.reads = this.#addressReads() | left | (byte < 0xd2 ? 0 : 2);
    this.writes = left;
    this.stores = this.first === Operand.memory;
    if (group === 4 && byte < 0xd2) this.operation = Operation.shiftLeft;
    return true;
  }

  /** CBW, CWDE, CDQE. */
  #extendAccumulator(full: number): boolean {
    this.operation = full === 8 ? Operation.signExtend : Operation.other;
    this.size = full;
    this.narrow = full / 2;
    this.first = 0;
    this.second = 0;
    this.reads = 1;
    this.writes = 1;
    return true;
  }

  /** INC and DEC. */
  #countOne(
    bytes: Uint8Array,
    group: number,
    place: number,
    rex: number,
    full: number,
    is64: boolean,
  ): boolean {
    this.#oneOperand(bytes, place, rex, full, is64);
    this.reads = this.#addressReads() | maskOf(this.first);
    this.writes = maskOf(this.first);
    this.stores = this.first === Operand.memory;
    this.setsFlags = true;
    this.operation = group === 0 ? Operation.add : Operation.subtract;
    this.second = Operand.immediate;
    this.immediate = 1;
    return true;
  }

  /** CALL, JMP and PUSH of a register or memory. */
  #transferOrPush(
    bytes: Uint8Array,
    group: number,
    place: number,
    rex: number,
    is64: boolean,
  ): boolean {
    this.#oneOperand(bytes, place, rex, is64 ? 8 : 4, is64);
    this.reads = this.#addressReads() | maskOf(this.first);
    if (group !== 4) {
      this.reads |= 16;
      this.writes = 16;
    }
    if (group === 6) this.operation = Operation.push;
    return true;
  }

  #twoByte(bytes: Uint8Array, opcodeAt: number, rex: number, full: number, is64: boolean): boolean {
    const byte = bytes[opcodeAt];
    const place = opcodeAt + 1;
    if (byte >= 0x80 && byte < 0x90) {
      this.condition = byte & 15;
      return true;
    }
    if (byte >= 0x40 && byte < 0x50) {
      this.#twoOperands(bytes, place, rex, full, is64, false);
      this.operation = Operation.maybeMove;
      this.condition = byte & 15;
      this.reads = this.#addressReads() | maskOf(this.second);
      this.writes = maskOf(this.first);
      return true;
    }
    switch (byte) {
      case 0xb6:
      case 0xb7:
      case 0xbe:
      case 0xbf: {
        this.#twoOperands(bytes, place, rex, full, is64, false);
        this.narrow = (byte & 1) === 0 ? 1 : 2;
        if (this.second < 16) this.second = this.#register(this.second, this.narrow === 1, rex);
        this.operation = byte < 0xb8 ? Operation.zeroExtend : Operation.signExtend;
        this.reads = this.#addressReads() | maskOf(this.second);
        this.writes = maskOf(this.first);
        if (full === 2) this.reads |= maskOf(this.first);
        return true;
      }
      case 0x1f:
      case 0x1e:
        // NOP and ENDBR touch nothing.
        return true;
      default:
        return false;
    }
  }

  /** Opcodes below 0x40: eight operations in six forms. */
  #arithmetic(
    bytes: Uint8Array,
    opcode: number,
    place: number,
    rex: number,
    full: number,
    is64: boolean,
  ): boolean {
    const form = opcode & 7;
    if (form > 5) return false;
    const isByte = (form & 1) === 0;
    if (form < 4) {
      this.#twoOperands(bytes, place, rex, isByte ? 1 : full, is64, form < 2);
    } else {
      this.first = 0;
      this.second = Operand.immediate;
      this.size = isByte ? 1 : full;
      this.immediate = isByte
        ? (bytes[place] << 24) >> 24
        : full === 2
          ? ((bytes[place] | (bytes[place + 1] << 8)) << 16) >> 16
          : int32(bytes, place);
    }
    this.#arithmeticEffects(opcode >> 3);
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
  #twoOperands(
    bytes: Uint8Array,
    at: number,
    rex: number,
    size: number,
    is64: boolean,
    isStore: boolean,
  ): void {
    const modrm = bytes[at];
    this.size = size;
    const register = this.#register(((modrm >> 3) & 7) | ((rex & 4) << 1), size === 1, rex);
    const other =
      modrm >= 0xc0
        ? this.#register((modrm & 7) | ((rex & 1) << 3), size === 1, rex)
        : Operand.memory;
    this.#modrm(bytes, at, rex, is64);
    this.first = isStore ? other : register;
    this.second = isStore ? register : other;
  }

  #oneOperand(bytes: Uint8Array, at: number, rex: number, size: number, is64: boolean): number {
    const modrm = bytes[at];
    this.size = size;
    this.first =
      modrm >= 0xc0
        ? this.#register((modrm & 7) | ((rex & 1) << 3), size === 1, rex)
        : Operand.memory;
    return this.#modrm(bytes, at, rex, is64);
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

function int32(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
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
