import { Transfer } from './transfer.ts';

/** What follows an opcode. */
const Form = {
  /** Not decoded here. */
  unknown: 0,
  none: 1,
  modrm: 2,
  modrmImm8: 3,
  /** ModRM and an immediate of the operand's size, 4 bytes at most. */
  modrmImm: 4,
  imm8: 5,
  imm: 6,
  /** Immediate of the operand's size, 8 bytes with REX.W. */
  imm64: 7,
  rel8: 8,
  rel32: 9,
  /** ModRM, with memory only. */
  memory: 10,
  /** F6: an immediate with TEST only. */
  group3Byte: 11,
  group3: 12,
  /** FE and FF. */
  group4: 13,
  group5: 14,
  /** C6 and C7: MOV only. */
  group11Byte: 15,
  group11: 16,
  /** Bit operations with an immediate: /4 to /7. */
  group8: 17,
  /** /0 only. */
  nop: 18,
  /** 16-bit immediate. */
  imm16: 19,
  /** A string instruction, which a REP prefix fits. */
  string: 20,
} as const;

/** Mandatory prefixes with which an opcode of the two-byte map is known; bits of `allowed`. */
const plain = 1;
const with66 = 2;
const withF3 = 4;
const withF2 = 8;
const anyPrefix = plain | with66 | withF3 | withF2;

/** Forms that have ModRM. */
const isModrm = new Uint8Array(32);
for (const form of [
  ...[Form.modrm, Form.modrmImm8, Form.modrmImm, Form.memory, Form.group3Byte, Form.group3],
  ...[Form.group4, Form.group5, Form.group11Byte, Form.group11, Form.group8, Form.nop],
]) {
  isModrm[form] = 1;
}

const oneByte = new Uint8Array(256);
const twoByte = new Uint8Array(256);
/** Prefixes allowed before an opcode of the two-byte map. */
const allowed = new Uint8Array(256);

fillTables();

/**
 * Lengths of common x86 instructions by table, in 32- and 64-bit code.
 *
 * A full decoder takes ten times as long and most of the time that a control-flow graph takes to
 * build; so this knows the instructions that make up 95 of 100 in compiled code, only in encodings
 * that are valid on every processor, and leaves the rest.
 */
export class InstructionLength {
  /** After `read`: `Transfer` kind; `none` for instructions that go on to the next one. */
  kind = 0;
  /** After `read` of a direct transfer: target, in bytes from the end of the instruction. */
  displacement = 0;

  /** @returns bytes of the instruction at `at`; 0 when it must be decoded in full, or is cut */
  read(bytes: Uint8Array, at: number, is64: boolean): number {
    this.kind = Transfer.none;
    let place = at;
    let prefixes = 0;
    let isRex = false;
    let isWide = false;
    let byte = bytes[place];
    for (let count = 0; ; count++) {
      if (byte === 0x66) prefixes |= with66;
      else if (byte === 0xf3) prefixes |= withF3;
      else if (byte === 0xf2) prefixes |= withF2;
      // Segments; in front of branches, 2E and 3E are hints or NOTRACK.
      else if (byte !== 0x64 && byte !== 0x65 && byte !== 0x2e && byte !== 0x3e) break;
      if (count === 3) return 0;
      byte = bytes[++place];
    }
    if (is64 && (byte & 0xf0) === 0x40) {
      isRex = true;
      isWide = (byte & 8) !== 0;
      byte = bytes[++place];
    }
    let form: number;
    if (byte === 0x0f) {
      byte = bytes[++place];
      if (!fitsTwoByte(prefixes)) return 0;
      if ((allowed[byte] & mandatoryOf(prefixes)) === 0) return endbr(bytes, place, prefixes);
      form = twoByte[byte];
      if (form === Form.rel32) {
        this.kind = Transfer.jcc;
      } else if (byte === 0x05) {
        if (!is64) return 0;
        this.kind = Transfer.syscall;
      }
    } else {
      form = oneByte[byte];
      if (!fitsOneByte(byte, form, prefixes, isRex, is64)) return 0;
    }
    const operand = isWide ? 8 : (prefixes & with66) !== 0 ? 2 : 4;
    const end =
      isModrm[form] === 1
        ? this.#behindModrm(bytes, place + 1, form, prefixes, operand)
        : this.#behindOpcode(bytes, place + 1, form, prefixes, operand);
    return end < 0 || end > bytes.length ? 0 : end - at;
  }

  /**
   * Without ModRM.
   *
   * @param operand  bytes of the operand: 2, 4 or 8
   * @returns place behind the instruction; -1 when it must be decoded in full, or is cut
   */
  #behindOpcode(
    bytes: Uint8Array,
    place: number,
    form: number,
    prefixes: number,
    operand: number,
  ): number {
    const byte = bytes[place - 1];
    const isPrefixed = (prefixes & with66) !== 0;
    switch (form) {
      case Form.none:
      case Form.string:
        if (byte !== 0xc3) return place;
        if (isPrefixed) return -1;
        this.kind = Transfer.ret;
        return place;
      case Form.imm16:
        if (prefixes !== 0) return -1;
        this.kind = Transfer.ret;
        return place + 2;
      case Form.imm8:
        if (byte === 0xcd) this.kind = Transfer.syscall;
        return place + 1;
      case Form.imm:
        return place + Math.min(operand, 4);
      case Form.imm64:
        return place + operand;
      case Form.rel8:
        if (isPrefixed || place >= bytes.length) return -1;
        this.kind = byte === 0xeb ? Transfer.jmp : Transfer.jcc;
        this.displacement = (bytes[place] << 24) >> 24;
        return place + 1;
      case Form.rel32:
        if (isPrefixed || place + 4 > bytes.length) return -1;
        if (this.kind === Transfer.none) {
          this.kind = byte === 0xe8 ? Transfer.call : Transfer.jmp;
        }
        this.displacement =
          bytes[place] |
          (bytes[place + 1] << 8) |
          (bytes[place + 2] << 16) |
          (bytes[place + 3] << 24);
        return place + 4;
      default:
        return -1;
    }
  }

  /** With ModRM at `place`; otherwise as `#behindOpcode`. */
  #behindModrm(
    bytes: Uint8Array,
    place: number,
    form: number,
    prefixes: number,
    operand: number,
  ): number {
    if (place >= bytes.length) return -1;
    const modrm = bytes[place];
    const register = (modrm >> 3) & 7;
    const behind = afterModrm(bytes, place);
    const immediate = Math.min(operand, 4);
    switch (form) {
      case Form.modrmImm8:
        return behind + 1;
      case Form.modrmImm:
        return behind + immediate;
      case Form.memory:
        return modrm >= 0xc0 ? -1 : behind;
      case Form.group3Byte:
        return register === 1 ? -1 : register === 0 ? behind + 1 : behind;
      case Form.group3:
        return register === 1 ? -1 : register === 0 ? behind + immediate : behind;
      case Form.group4:
        return register > 1 ? -1 : behind;
      case Form.group5:
        if (register === 3 || register === 5 || register === 7) return -1;
        if (register === 2 || register === 4) {
          if ((prefixes & with66) !== 0) return -1;
          this.kind = register === 2 ? Transfer.icall : Transfer.ijmp;
        }
        return behind;
      case Form.group11Byte:
        return register !== 0 ? -1 : behind + 1;
      case Form.group11:
        return register !== 0 ? -1 : behind + immediate;
      case Form.group8:
        return register < 4 ? -1 : behind + 1;
      case Form.nop:
        return register !== 0 ? -1 : behind;
      default:
        return behind;
    }
  }
}

/** @returns the prefix that is part of an opcode of the two-byte map */
function mandatoryOf(prefixes: number): number {
  if ((prefixes & withF2) !== 0) return withF2;
  if ((prefixes & withF3) !== 0) return withF3;
  return (prefixes & with66) !== 0 ? with66 : plain;
}

/** F2 and F3 together, or with 66, mean different things to different instructions. */
function fitsTwoByte(prefixes: number): boolean {
  return (prefixes & (withF2 | withF3)) === 0 || prefixes === mandatoryOf(prefixes);
}

function fitsOneByte(
  byte: number,
  form: number,
  prefixes: number,
  isRex: boolean,
  is64: boolean,
): boolean {
  if ((prefixes & (withF2 | withF3)) !== 0 && form !== Form.string) {
    // PAUSE, and the return of old branch predictors.
    if (prefixes !== withF3 || isRex || (byte !== 0x90 && byte !== 0xc3)) return false;
  }
  // PUSHA and the like in 32-bit code; INC and DEC are REX prefixes in 64-bit code.
  if (!is64 && byte === 0x63) return false;
  return !(byte >= 0x40 && byte < 0x50 && is64);
}

/** ENDBR64 and ENDBR32, at which most functions begin. @returns bytes; 0 when it is neither */
function endbr(bytes: Uint8Array, place: number, prefixes: number): number {
  if (prefixes !== withF3 || bytes[place] !== 0x1e || bytes[place - 2] !== 0xf3) return 0;
  return bytes[place + 1] === 0xfa || bytes[place + 1] === 0xfb ? 4 : 0;
}

/** @returns place behind the ModRM byte at `place`, its SIB byte and its displacement */
function afterModrm(bytes: Uint8Array, place: number): number {
  const modrm = bytes[place];
  const mode = modrm >> 6;
  const rm = modrm & 7;
  if (mode === 3) return place + 1;
  const displacement = mode === 1 ? 1 : mode === 2 ? 4 : 0;
  if (rm === 4) {
    const base = bytes[place + 1] & 7;
    return place + 2 + (mode === 0 && base === 5 ? 4 : displacement);
  }
  return place + 1 + (mode === 0 && rm === 5 ? 4 : displacement);
}

function fillTables(): void {
  const set = (table: Uint8Array, form: number, ...opcodes: number[]): void => {
    for (const opcode of opcodes) table[opcode] = form;
  };
  const range = (from: number, to: number): number[] =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i);

  for (const operation of range(0, 7)) {
    // ADD, OR, ADC, SBB, AND, SUB, XOR, CMP.
    set(oneByte, Form.modrm, ...range(operation * 8, operation * 8 + 3));
    set(oneByte, Form.imm8, operation * 8 + 4);
    set(oneByte, Form.imm, operation * 8 + 5);
  }
  // INC, DEC (32-bit code), PUSH, POP.
  set(oneByte, Form.none, ...range(0x40, 0x5f));
  set(oneByte, Form.modrm, 0x63, ...range(0x84, 0x8b));
  set(oneByte, Form.imm, 0x68, 0xa9);
  set(oneByte, Form.modrmImm, 0x69, 0x81);
  set(oneByte, Form.imm8, 0x6a, 0xa8, 0xcd, ...range(0xb0, 0xb7));
  set(oneByte, Form.modrmImm8, 0x6b, 0x80, 0x83, 0xc0, 0xc1);
  set(oneByte, Form.rel8, ...range(0x70, 0x7f), ...range(0xe0, 0xe3), 0xeb);
  set(oneByte, Form.memory, 0x8d);
  // XCHG, CBW, CWD, LEAVE, flags.
  set(oneByte, Form.none, ...range(0x90, 0x99), 0xc9, 0xf5, 0xf8, 0xf9, 0xfc, 0xfd, 0xc3);
  set(oneByte, Form.string, ...range(0xa4, 0xa7), ...range(0xaa, 0xaf));
  set(oneByte, Form.imm64, ...range(0xb8, 0xbf));
  set(oneByte, Form.imm16, 0xc2);
  set(oneByte, Form.group11Byte, 0xc6);
  set(oneByte, Form.group11, 0xc7);
  set(oneByte, Form.modrm, ...range(0xd0, 0xd3));
  set(oneByte, Form.rel32, 0xe8, 0xe9);
  set(oneByte, Form.group3Byte, 0xf6);
  set(oneByte, Form.group3, 0xf7);
  set(oneByte, Form.group4, 0xfe);
  set(oneByte, Form.group5, 0xff);

  const two = (form: number, prefixes: number, ...opcodes: number[]): void => {
    set(twoByte, form, ...opcodes);
    for (const opcode of opcodes) allowed[opcode] = prefixes;
  };
  const integer = plain | with66;
  two(Form.none, plain, 0x05, 0xa2, ...range(0xc8, 0xcf));
  two(Form.nop, integer, 0x1f);
  two(Form.modrm, integer, ...range(0x40, 0x4f), ...range(0x90, 0x9f));
  two(Form.rel32, plain, ...range(0x80, 0x8f));
  two(Form.modrm, integer, 0xa3, 0xa5, 0xab, 0xad, 0xaf, 0xb0, 0xb1, 0xb3, 0xbb, 0xc0, 0xc1);
  two(Form.modrm, integer, 0xb6, 0xb7, 0xbe, 0xbf);
  two(Form.modrmImm8, integer, 0xa4, 0xac);
  two(Form.group8, integer, 0xba);
  two(Form.modrm, integer | withF3, 0xbc, 0xbd);
  // Moves and arithmetic of SSE.
  two(Form.modrm, anyPrefix, 0x10, 0x11, 0x51, 0x58, 0x59, 0x5a, ...range(0x5c, 0x5f));
  two(Form.modrm, integer, 0x14, 0x15, 0x28, 0x29, 0x2e, 0x2f, ...range(0x54, 0x57));
  two(Form.modrm, integer, ...range(0x60, 0x6b), 0x6e, ...range(0x74, 0x76));
  two(Form.modrm, integer | withF3, 0x5b, 0x6f, 0x7e, 0x7f);
  two(Form.modrm, with66, 0x6c, 0x6d, 0xd6);
  two(Form.modrm, plain | with66, 0xd4, 0xdb, 0xdf, 0xeb, 0xef, ...range(0xf8, 0xfe));
}
