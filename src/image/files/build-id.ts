const ptNote = 4;
const gnuBuildId = 3;

/**
 * @returns the build id of a little-endian ELF file in lower-case hexadecimal; `undefined` where it
 *   has none, or the bytes are no such file
 * @see `NT_GNU_BUILD_ID` in elf(5)
 */
export function elfBuildId(bytes: Uint8Array): string | undefined {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46 || file[5] !== 1) return undefined;
  const is64 = file[4] === 2;
  const word = (at: number): number =>
    is64
      ? file.readUInt32LE(at) + file.readUInt32LE(at + 4) * 0x1_0000_0000
      : file.readUInt32LE(at);
  const table = word(is64 ? 32 : 28);
  const size = file.readUInt16LE(is64 ? 54 : 42);
  const count = file.readUInt16LE(is64 ? 56 : 44);
  for (let row = table; row < table + count * size; row += size) {
    if (row + (is64 ? 56 : 32) > file.length) return undefined;
    if (file.readUInt32LE(row) !== ptNote) continue;
    const from = word(row + (is64 ? 8 : 4));
    const to = Math.min(file.length, from + word(row + (is64 ? 32 : 16)));
    for (let at = from; at + 12 <= to; ) {
      const nameLength = file.readUInt32LE(at);
      const idLength = file.readUInt32LE(at + 4);
      const id = at + 12 + align(nameLength);
      if (file.readUInt32LE(at + 8) === gnuBuildId && nameLength === 4 && id + idLength <= to) {
        if (file.toString('latin1', at + 12, at + 15) === 'GNU') {
          return file.toString('hex', id, id + idLength);
        }
      }
      at = id + align(idLength);
    }
  }
  return undefined;
}

function align(length: number): number {
  return Math.ceil(length / 4) * 4;
}
