/**
 * What APX adds to the encoding of 64-bit code, as far as control flow needs it: lengths of instructions
 * with a REX2 prefix or in EVEX map 4, and JMPABS. The full decoder (iced-x86 1.21) knows none of it.
 *
 * Not here: instructions of other EVEX maps with registers above 15, which stay invalid.
 *
 * @see Intel APX Architecture Specification 355828, "REX2 prefix", "EVEX map 4", JMPABS; libipt 2.2 reads
 *   REX2 and JMPABS in the same way
 */

/** An instruction as APX has it. */
export type ApxInstruction =
  /** The bytes end before it does. */
  | { readonly kind: 'cut' }
  /** JMPABS: a jump to 64 bits of address, for which the processor writes a TIP nonetheless. */
  | { readonly kind: 'jmpabs'; readonly length: number }
  /** Something that goes on to the next instruction. */
  | { readonly kind: 'other'; readonly length: number }
  /** The same in the older encoding, with lower registers: so many bytes shorter, or longer where negative. */
  | { readonly kind: 'rex2'; readonly older: Uint8Array; readonly shorter: number };

const legacyPrefixes: readonly number[] = [
  0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3,
];
const addressBytes = 8;

/**
 * @param bytes  64-bit code, from the start of an instruction
 * @returns `undefined` where it is no instruction of APX
 */
export function readApx(bytes: Uint8Array): ApxInstruction | undefined {
  let at = 0;
  while (at < bytes.length && legacyPrefixes.includes(bytes[at])) at++;
  if (bytes[at] === 0xd5) return readRex2(bytes, at);
  return bytes[at] === 0x62 && at === 0 ? readMap4(bytes) : undefined;
}

function readRex2(bytes: Uint8Array, at: number): ApxInstruction | undefined {
  if (at + 2 >= bytes.length) return { kind: 'cut' };
  const payload = bytes[at + 1];
  const opcode = bytes[at + 2];
  const isTwoByte = (payload & 0x80) !== 0;
  const row = opcode >> 4;
  if (!isTwoByte && opcode === 0xa1) {
    const isPlain = bytes.subarray(0, at).every((prefix) => prefix < 0x66);
    const length = at + 3 + addressBytes;
    const isWide = (payload & 8) !== 0;
    if (!isPlain || isWide) return undefined;
    return length <= bytes.length ? { kind: 'jmpabs', length } : { kind: 'cut' };
  }
  // Rows of short and near conditional branches, of addresses without ModRM, of ports, and prefixes.
  const isReserved = isTwoByte ? row === 3 || row === 8 : [4, 7, 0xa, 0xe].includes(row);
  if (isReserved) return undefined;
  const rex = 0x40 | (payload & 0x0f);
  const opcodes = isTwoByte ? [0x0f] : [];
  const older = Uint8Array.from([
    ...bytes.subarray(0, at),
    rex,
    ...opcodes,
    ...bytes.subarray(at + 2),
  ]);
  return { kind: 'rex2', older, shorter: isTwoByte ? 0 : 1 };
}

/** Immediates of opcodes of EVEX map 4, which are those of the one-byte map. */
const imm8: readonly number[] = [0x24, 0x2c, 0x6b, 0x80, 0x83, 0xc0, 0xc1];
const immOfOperand: readonly number[] = [0x69, 0x81];

/** 62, three bytes of prefix, opcode, ModRM. No transfer is among them. */
function readMap4(bytes: Uint8Array): ApxInstruction | undefined {
  if (bytes.length >= 2 && (bytes[1] & 7) !== 4) return undefined;
  if (bytes.length < 6) return { kind: 'cut' };
  const isWide = (bytes[2] & 0x80) !== 0;
  const operandBytes = (bytes[2] & 3) === 1 && !isWide ? 2 : 4;
  const opcode = bytes[4];
  const register = (bytes[5] >> 3) & 7;
  const isTest = register < 2;
  let length = 6 + memoryBytes(bytes, 5);
  if (imm8.includes(opcode) || (opcode === 0xf6 && isTest)) length++;
  if (immOfOperand.includes(opcode) || (opcode === 0xf7 && isTest)) length += operandBytes;
  return length <= bytes.length ? { kind: 'other', length } : { kind: 'cut' };
}

/** @returns bytes of SIB and displacement behind the ModRM byte at `at` */
function memoryBytes(bytes: Uint8Array, at: number): number {
  const mode = bytes[at] >> 6;
  const base = bytes[at] & 7;
  if (mode === 3) return 0;
  const sib = base === 4 ? 1 : 0;
  const sibBase = sib === 1 ? bytes[at + 1] & 7 : base;
  if (mode === 0) return sib + (sibBase === 5 ? 4 : 0);
  return sib + (mode === 1 ? 1 : 4);
}
