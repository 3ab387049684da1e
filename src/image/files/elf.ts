import { bytesOf, isInside, readWord } from './elf-sections.ts';
import { readElfSymbols } from './elf-symbols.ts';
import type { Image, ImageSymbol, Segment } from './image.ts';

const maxProgramHeaders = 4096;
const ptLoad = 1;
const pfExecute = 1;

/** Offsets of the fields that differ between the two classes. */
interface Layout {
  readonly is64: boolean;
  readonly phoff: number;
  readonly phentsize: number;
  readonly ph: {
    readonly flags: number;
    readonly offset: number;
    readonly vaddr: number;
    readonly filesz: number;
    readonly size: number;
  };
}

const layout64: Layout = {
  is64: true,
  phoff: 32,
  phentsize: 54,
  ph: { flags: 4, offset: 8, vaddr: 16, filesz: 32, size: 56 },
};
const layout32: Layout = {
  is64: false,
  phoff: 28,
  phentsize: 42,
  ph: { flags: 24, offset: 4, vaddr: 8, filesz: 16, size: 32 },
};

/**
 * Reads a little-endian ELF executable or library, 32- or 64-bit.
 *
 * @returns `undefined` for anything else, and for an ELF whose loadable segments lie outside the
 *   file: such bytes are a memory dump that begins with an ELF header
 * @see System V ABI, "Object Files" and "Program Loading"
 */
export function parseElf(bytes: Uint8Array): Image | undefined {
  const bits = elfBits(bytes);
  const isLittleEndian = bytes[5] === 1;
  if (!isLittleEndian || bits === undefined) return undefined;
  const layout = bits === 64 ? layout64 : layout32;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (at: number): number => readWord(view, at, layout.is64);
  const table = word(layout.phoff);
  const entry = view.getUint16(layout.phentsize, true);
  const count = view.getUint16(layout.phentsize + 2, true);
  if (entry < layout.ph.size || count > maxProgramHeaders) return undefined;
  if (!isInside(table, count * entry, bytes.length)) return undefined;
  const segments: Segment[] = [];
  for (let i = 0; i < count; i++) {
    const at = table + i * entry;
    if (view.getUint32(at, true) !== ptLoad) continue;
    const fileOffset = word(at + layout.ph.offset);
    const length = word(at + layout.ph.filesz);
    const address = word(at + layout.ph.vaddr);
    if (!Number.isSafeInteger(address) || !isInside(fileOffset, length, bytes.length)) {
      return undefined;
    }
    const isExecutable = (view.getUint32(at + layout.ph.flags, true) & pfExecute) !== 0;
    if (length > 0) segments.push({ address, fileOffset, length, isExecutable });
  }
  if (segments.length === 0) return undefined;
  segments.sort((a, b) => a.address - b.address);
  let symbols: readonly ImageSymbol[] | undefined;
  return {
    kind: 'elf',
    bytes,
    bits: layout.is64 ? 64 : 32,
    segments,
    lowest: segments[0].address,
    symbols: () => {
      symbols ??= readElfSymbols(bytesOf(bytes));
      return symbols;
    },
  };
}

/** @returns the class of an ELF file, `undefined` for anything else */
export function elfBits(bytes: Uint8Array): 32 | 64 | undefined {
  const isElf =
    bytes.length >= 64 &&
    bytes[0] === 0x7f &&
    bytes[1] === 0x45 &&
    bytes[2] === 0x4c &&
    bytes[3] === 0x46;
  if (!isElf) return undefined;
  return bytes[4] === 2 ? 64 : bytes[4] === 1 ? 32 : undefined;
}
