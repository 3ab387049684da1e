const maxSections = 65_536;
const longestName = 4096;

/** The bytes of a file, in memory or on disk. */
export interface FileBytes {
  readonly size: number;
  /** @returns exactly `length` bytes; `undefined` where the file does not hold all of them */
  read(offset: number, length: number): DataView | undefined;
}

/** A row of an ELF file's section header table. */
export interface ElfSection {
  readonly name: string;
  /** `SHT_*` */
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  /** Index of the section that this one refers to. */
  readonly link: number;
  readonly entrySize: number;
}

/** What the section headers of an ELF file say; linkers read them, loaders do not. */
export interface ElfSections {
  readonly is64: boolean;
  readonly sections: readonly ElfSection[];
}

/** Bytes that are in memory already. */
export function bytesOf(bytes: Uint8Array): FileBytes {
  return {
    size: bytes.length,
    read: (offset, length) =>
      isInside(offset, length, bytes.length)
        ? new DataView(bytes.buffer, bytes.byteOffset + offset, length)
        : undefined,
  };
}

/**
 * Reads the section headers of a little-endian ELF file, 32- or 64-bit.
 *
 * @returns `undefined` for anything else, and where the table lies outside the file, as it does in dumps
 *   of memory
 * @see System V ABI, "Object Files", "Sections"
 */
export function readElfSections(file: FileBytes): ElfSections | undefined {
  const header = file.read(0, 64);
  if (header === undefined || header.getUint32(0, false) !== 0x7f454c46) return undefined;
  const kind = header.getUint8(4);
  if (header.getUint8(5) !== 1 || (kind !== 1 && kind !== 2)) return undefined;
  const is64 = kind === 2;
  const at = is64 ? { table: 40, entry: 58 } : { table: 32, entry: 46 };
  const entry = header.getUint16(at.entry, true);
  const count = header.getUint16(at.entry + 2, true);
  const named = header.getUint16(at.entry + 4, true);
  if (entry < (is64 ? 64 : 40) || count > maxSections) return undefined;
  const table = file.read(readWord(header, at.table, is64), count * entry);
  if (table === undefined) return undefined;
  const rows = Array.from({ length: count }, (_, index) => rowAt(table, index * entry, is64));
  const { offset = 0, size = 0 } = rows[named] ?? {};
  const names = file.read(offset, size);
  return {
    is64,
    sections: rows.map(({ nameAt, ...row }) => ({ ...row, name: textAt(names, nameAt) })),
  };
}

function rowAt(
  table: DataView,
  at: number,
  is64: boolean,
): Omit<ElfSection, 'name'> & { readonly nameAt: number } {
  return {
    nameAt: table.getUint32(at, true),
    type: table.getUint32(at + 4, true),
    offset: readWord(table, at + (is64 ? 24 : 16), is64),
    size: readWord(table, at + (is64 ? 32 : 20), is64),
    link: table.getUint32(at + (is64 ? 40 : 24), true),
    entrySize: readWord(table, at + (is64 ? 56 : 36), is64),
  };
}

/** @returns whether a stretch lies in a file of `size` bytes; false for NaN */
export function isInside(offset: number, length: number, size: number): boolean {
  return offset >= 0 && length >= 0 && offset + length <= size;
}

/** @returns NaN where the view ends first, so that comparisons fail */
export function readWord(view: DataView, at: number, is64: boolean): number {
  if (at + (is64 ? 8 : 4) > view.byteLength) return Number.NaN;
  const low = view.getUint32(at, true);
  return is64 ? view.getInt32(at + 4, true) * 0x1_0000_0000 + low : low;
}

/** @returns the characters up to the next zero; empty where there are none, or no table */
export function textAt(table: DataView | undefined, at: number): string {
  if (table === undefined || at >= table.byteLength) return '';
  let end = at;
  const last = Math.min(table.byteLength, at + longestName);
  while (end < last && table.getUint8(end) !== 0) end++;
  return Buffer.from(table.buffer, table.byteOffset + at, end - at).toString('utf8');
}
