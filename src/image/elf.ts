import type { Image, ImageSymbol, Segment } from './image.ts';

const maxProgramHeaders = 4096;
const maxSections = 65536;
/** Hostile files list one symbol table many times over. */
const maxSymbolTables = 4;
const ptLoad = 1;
const pfExecute = 1;
const shtSymtab = 2;
const shtDynsym = 11;
const sttFunc = 2;
const sttGnuIfunc = 10;

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
  readonly sh: {
    readonly offset: number;
    readonly size: number;
    readonly link: number;
    readonly entsize: number;
    readonly length: number;
  };
}

const layout64: Layout = {
  is64: true,
  phoff: 32,
  phentsize: 54,
  ph: { flags: 4, offset: 8, vaddr: 16, filesz: 32, size: 56 },
  sh: { offset: 24, size: 32, link: 40, entsize: 56, length: 64 },
};
const layout32: Layout = {
  is64: false,
  phoff: 28,
  phentsize: 42,
  ph: { flags: 24, offset: 4, vaddr: 8, filesz: 16, size: 32 },
  sh: { offset: 16, size: 20, link: 24, entsize: 36, length: 40 },
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
      symbols ??= readSymbols(view, layout);
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

function readSymbols(view: DataView, layout: Layout): ImageSymbol[] {
  const word = (at: number): number => readWord(view, at, layout.is64);
  const size = view.byteLength;
  const shoff = word(layout.is64 ? 40 : 32);
  const shentsize = view.getUint16(layout.is64 ? 58 : 46, true);
  const shnum = view.getUint16(layout.is64 ? 60 : 48, true);
  if (shentsize < layout.sh.length || shnum > maxSections) return [];
  if (!isInside(shoff, shnum * shentsize, size)) return [];
  const section = (index: number) => {
    const at = shoff + index * shentsize;
    return {
      type: view.getUint32(at + 4, true),
      offset: word(at + layout.sh.offset),
      size: word(at + layout.sh.size),
      link: view.getUint32(at + layout.sh.link, true),
      entsize: word(at + layout.sh.entsize),
    };
  };
  const symbols: ImageSymbol[] = [];
  let names = 0;
  let tables = 0;
  for (let index = 0; index < shnum && tables < maxSymbolTables; index++) {
    const table = section(index);
    if (table.type !== shtSymtab && table.type !== shtDynsym) continue;
    tables++;
    const entry = layout.is64 ? 24 : 16;
    if (table.entsize !== entry || !isInside(table.offset, table.size, size) || table.link >= shnum)
      continue;
    const strings = section(table.link);
    if (!isInside(strings.offset, strings.size, size)) continue;
    for (let at = table.offset; at + entry <= table.offset + table.size; at += entry) {
      const info = view.getUint8(at + (layout.is64 ? 4 : 12));
      const address = word(at + (layout.is64 ? 8 : 4));
      const definedIn = view.getUint16(at + (layout.is64 ? 6 : 14), true);
      const type = info & 15;
      // Only code: functions, and labels without a type that some section defines.
      if (
        definedIn === 0 ||
        address === 0 ||
        !(type === sttFunc || type === sttGnuIfunc || type === 0)
      )
        continue;
      const nameAt = view.getUint32(at, true);
      const name =
        nameAt < strings.size
          ? readName(view, strings.offset + nameAt, strings.offset + strings.size)
          : '';
      if (name === '' || !Number.isSafeInteger(address)) continue;
      names += name.length;
      if (names > nameBudget(size)) return inOrder(symbols);
      symbols.push({
        address,
        size: word(at + (layout.is64 ? 16 : 8)),
        name,
        isFunction: type !== 0,
      });
    }
  }
  return inOrder(symbols);
}

/** By address; of several names for one, functions' first. */
function inOrder(symbols: ImageSymbol[]): ImageSymbol[] {
  return symbols.sort(
    (a, b) => a.address - b.address || Number(b.isFunction) - Number(a.isFunction),
  );
}

/** @returns characters that the symbols of a file may have: hostile ones share one long name */
export function nameBudget(fileSize: number): number {
  return 4 * fileSize + 65_536;
}

/** @returns whether a stretch lies in a file of `size` bytes; false for NaN */
function isInside(offset: number, length: number, size: number): boolean {
  return offset >= 0 && length >= 0 && offset + length <= size;
}

/** @returns NaN where the file ends first, so that comparisons fail */
function readWord(view: DataView, at: number, is64: boolean): number {
  if (at + (is64 ? 8 : 4) > view.byteLength) return Number.NaN;
  const low = view.getUint32(at, true);
  return is64 ? view.getInt32(at + 4, true) * 0x1_0000_0000 + low : low;
}

const longestName = 4096;

function readName(view: DataView, from: number, limit: number): string {
  let end = from;
  const last = Math.min(limit, from + longestName);
  while (end < last && view.getUint8(end) !== 0) end++;
  return Buffer.from(view.buffer, view.byteOffset + from, end - from).toString('utf8');
}
