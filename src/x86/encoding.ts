/**
 * One instruction of 32- or 64-bit code up to its operands: prefixes, opcode, and the place behind it. One
 * object is overwritten for each instruction rather than allocated.
 *
 * The length of the instruction is asked for before: nothing is read behind its end.
 */
export class Encoding {
  bytes: Uint8Array = new Uint8Array(0);
  is64 = false;
  /** The REX prefix; 0 where there is none. */
  rex = 0;
  /** Whether an operand-size prefix stands before it. */
  isShort = false;
  /** Bytes of an operand of an opcode that is not for single bytes. */
  size = 4;
  opcode = 0;
  /** Where the ModRM byte or the constant begins. */
  place = 0;

  /** @returns false where a memory operand lies in the segment of fs or gs: no code knows its address */
  read(bytes: Uint8Array, at: number, is64: boolean): boolean {
    let place = at;
    let byte = bytes[place];
    this.isShort = false;
    while (isPrefix(byte)) {
      if (byte === 0x64 || byte === 0x65) return false;
      if (byte === 0x66) this.isShort = true;
      byte = bytes[++place];
    }
    this.rex = 0;
    if (is64 && (byte & 0xf0) === 0x40) {
      this.rex = byte;
      byte = bytes[++place];
    }
    this.bytes = bytes;
    this.is64 = is64;
    this.size = (this.rex & 8) !== 0 ? 8 : this.isShort ? 2 : 4;
    this.opcode = byte;
    this.place = place + 1;
    return true;
  }

  /** Goes from the escape byte 0F to the opcode behind it. */
  escape(): void {
    this.opcode = this.bytes[this.place++];
  }

  /** The ModRM byte. */
  get modrm(): number {
    return this.bytes[this.place];
  }

  /** Operation of an opcode that stands for eight: the middle bits of the ModRM byte. */
  get group(): number {
    return (this.modrm >> 3) & 7;
  }

  /** Register whose number stands in the opcode. */
  get opcodeRegister(): number {
    return (this.opcode & 7) | ((this.rex & 1) << 3);
  }

  uint8(at: number): number {
    return this.bytes[at];
  }

  int8(at: number): number {
    return (this.bytes[at] << 24) >> 24;
  }

  int16(at: number): number {
    return ((this.bytes[at] | (this.bytes[at + 1] << 8)) << 16) >> 16;
  }

  int32(at: number): number {
    const { bytes } = this;
    return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
  }

  /** A constant of an instruction for operands of `size` bytes; one for 8 bytes has 4. */
  constant(at: number): number {
    return this.size === 2 ? this.int16(at) : this.int32(at);
  }
}

/** Operand size, repetition, and segments: fs, gs, and those that 64-bit code ignores. */
function isPrefix(byte: number): boolean {
  return (
    byte === 0x66 ||
    byte === 0xf2 ||
    byte === 0xf3 ||
    byte === 0x64 ||
    byte === 0x65 ||
    byte === 0x2e ||
    byte === 0x3e
  );
}
