import { nameBudget } from './elf-symbols.ts';
import type { Image, ImageSymbol, Segment } from './image.ts';

const maxSections = 256;
const maxExports = 1 << 16;
/** Fewer zeros than this may be chance. */
const smallestGap = 64;
const memExecute = 0x2000_0000;

/**
 * Reads a PE executable or library, 32- or 64-bit, as a file or dumped from memory in one piece.
 * Addresses are relative to the image base (RVA).
 *
 * @returns `undefined` for anything else, and for a PE whose sections' raw data lie outside the
 *   file: such bytes are a memory dump that begins with a PE header
 * @see Microsoft, "PE Format"
 */
export function parsePe(bytes: Uint8Array): Image | undefined {
  if (bytes.length < 64 || bytes[0] !== 0x4d || bytes[1] !== 0x5a) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = view.getUint32(60, true);
  if (header + 24 > bytes.length || view.getUint32(header, true) !== 0x4550) return undefined;
  const sections = view.getUint16(header + 6, true);
  const optionalSize = view.getUint16(header + 20, true);
  const optional = header + 24;
  const table = optional + optionalSize;
  if (sections === 0 || sections > maxSections || table + sections * 40 > bytes.length)
    return undefined;
  if (optionalSize < 64) return undefined;
  const headerBytes = Math.min(view.getUint32(optional + 60, true), bytes.length);
  const segments: { -readonly [K in keyof Segment]: Segment[K] }[] = [
    { address: 0, fileOffset: 0, length: headerBytes, isExecutable: false },
  ];
  for (let i = 0; i < sections; i++) {
    const at = table + i * 40;
    const virtualSize = view.getUint32(at + 8, true);
    const address = view.getUint32(at + 12, true);
    const rawSize = view.getUint32(at + 16, true);
    const fileOffset = view.getUint32(at + 20, true);
    if (rawSize > 0 && fileOffset + rawSize > bytes.length) return undefined;
    const length = virtualSize === 0 ? rawSize : Math.min(rawSize, virtualSize);
    const isExecutable = (view.getUint32(at + 36, true) & memExecute) !== 0;
    if (length > 0) segments.push({ address, fileOffset, length, isExecutable });
  }
  segments.sort((a, b) => a.address - b.address);
  if (isMemoryLayout(bytes, segments)) {
    for (const segment of segments) {
      segment.fileOffset = segment.address;
      segment.length = Math.max(0, Math.min(segment.length, bytes.length - segment.address));
    }
  }
  let symbols: readonly ImageSymbol[] | undefined;
  return {
    kind: 'pe',
    bytes,
    bits: peBits(bytes),
    segments,
    lowest: 0,
    symbols: () => {
      symbols ??= readExports(view, optional, optionalSize, segments);
      return symbols;
    },
  };
}

/**
 * A PE image dumped from memory still has the headers of its file, but its sections lie where the
 * loader put them: between the headers and the first section there is nothing but zeros, where the
 * file has the first section's bytes already.
 */
function isMemoryLayout(bytes: Uint8Array, segments: readonly Segment[]): boolean {
  const [headers, ...sections] = segments;
  if (headers === undefined) return false;
  const moved = sections.filter(({ address, fileOffset }) => address !== fileOffset);
  const first = sections[0];
  const last = sections.at(-1);
  if (moved.length === 0 || first === undefined || last === undefined) return false;
  if (first.address >= bytes.length || last.address >= bytes.length) return false;
  const inGap = Math.min(...moved.map(({ fileOffset }) => fileOffset));
  const gap = bytes.subarray(Math.max(headers.length, inGap), first.address);
  if (gap.length < smallestGap) return bytes.length >= last.address + last.length;
  return gap.every((byte) => byte === 0);
}

/** @returns width of a PE's code by its optional header, `undefined` for anything else */
export function peBits(bytes: Uint8Array): 32 | 64 | undefined {
  if (bytes.length < 64 || bytes[0] !== 0x4d || bytes[1] !== 0x5a) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = view.getUint32(60, true);
  if (header + 26 > bytes.length || view.getUint32(header, true) !== 0x4550) return undefined;
  const magic = view.getUint16(header + 24, true);
  return magic === 0x20b ? 64 : magic === 0x10b ? 32 : undefined;
}

function readExports(
  view: DataView,
  optional: number,
  optionalSize: number,
  segments: readonly Segment[],
): ImageSymbol[] {
  const isPlus = view.getUint16(optional, true) === 0x20b;
  const directory = optional + (isPlus ? 112 : 96);
  if (directory + 8 > optional + optionalSize) return [];
  const at = (rva: number, length: number): number | undefined => {
    const segment = segments.find((s) => rva >= s.address && rva + length <= s.address + s.length);
    return segment === undefined ? undefined : segment.fileOffset + (rva - segment.address);
  };
  const first = view.getUint32(directory, true);
  const size = view.getUint32(directory + 4, true);
  const table = at(first, 40);
  if (first === 0 || table === undefined) return [];
  const count = Math.min(view.getUint32(table + 24, true), maxExports);
  const functionCount = view.getUint32(table + 20, true);
  const functions = view.getUint32(table + 28, true);
  const names = at(view.getUint32(table + 32, true), count * 4);
  const ordinals = at(view.getUint32(table + 36, true), count * 2);
  if (names === undefined || ordinals === undefined) return [];
  const symbols: ImageSymbol[] = [];
  let namesLength = 0;
  for (let i = 0; i < count; i++) {
    const ordinal = view.getUint16(ordinals + i * 2, true);
    const entry = ordinal < functionCount ? at(functions + ordinal * 4, 4) : undefined;
    const nameAt = at(view.getUint32(names + i * 4, true), 1);
    if (entry === undefined || nameAt === undefined) continue;
    const address = view.getUint32(entry, true);
    // An address inside the export directory is the name of another library's function.
    if (address >= first && address < first + size) continue;
    const name = readName(view, nameAt);
    namesLength += name.length;
    if (namesLength > nameBudget(view.byteLength)) break;
    symbols.push({ address, size: 0, name, isFunction: true });
  }
  return symbols.sort((a, b) => a.address - b.address);
}

function readName(view: DataView, from: number): string {
  let end = from;
  const last = Math.min(view.byteLength, from + 4096);
  while (end < last && view.getUint8(end) !== 0) end++;
  return Buffer.from(view.buffer, view.byteOffset + from, end - from).toString('latin1');
}
