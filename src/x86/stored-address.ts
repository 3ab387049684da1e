/** Bytes between the instruction that computes an address and the one that stores it. */
const mostBytesBetween = 16;

/**
 * Whether code stores the address of a place on the stack: `push imm32`, or `lea reg, [rip+x]` or
 * `mov reg, imm32` and, soon behind it, `push reg`, `mov [rsp+x], reg` or `xchg [rsp+x], reg`. Told by the shape of
 * instructions at every byte.
 *
 * @param place  counted from the beginning of `bytes`
 * @param address  the same place in the process
 */
export function storesOnStack(
  bytes: Uint8Array,
  place: number,
  address: number,
  bits: 32 | 64,
): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i + 5 <= bytes.length; i++) {
    const opcode = bytes[i]!;
    const isLea = opcode === 0x8d && (bytes[i + 1]! & 0xc7) === 5 && i + 6 <= bytes.length;
    if (bits === 64 && isLea && i > 0 && (bytes[i - 1]! & 0xf8) === 0x48) {
      if (i + 6 + view.getInt32(i + 2, true) !== place) continue;
      const register = ((bytes[i + 1]! >> 3) & 7) | ((bytes[i - 1]! & 4) << 1);
      if (isStored(bytes, i + 6, register)) return true;
    } else if (opcode === 0x68 || (opcode & 0xf8) === 0xb8) {
      if (view.getUint32(i + 1, true) !== address) continue;
      if (opcode === 0x68) return true;
      const isExtended = bits === 64 && i > 0 && (bytes[i - 1]! & 0xf1) === 0x41;
      if (isStored(bytes, i + 5, (opcode & 7) | (isExtended ? 8 : 0))) return true;
    }
  }
  return false;
}

function isStored(bytes: Uint8Array, from: number, register: number): boolean {
  const low = register & 7;
  const to = Math.min(bytes.length, from + mostBytesBetween);
  for (let i = from; i < to; i++) {
    const opcode = bytes[i]!;
    if (opcode === (0x50 | low)) {
      if (register < 8 || (i > from && (bytes[i - 1]! & 0xf1) === 0x41)) return true;
    }
    const isMove = opcode === 0x89 || opcode === 0x87;
    // The base is the stack pointer, and there is no index.
    const isToStack = (bytes[i + 1]! & 0x3f) === ((low << 3) | 4) && bytes[i + 1]! < 0xc0;
    if (isMove && isToStack && bytes[i + 2] === 0x24) return true;
  }
  return false;
}
