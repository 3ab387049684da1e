import type { ImageMemory } from './image-memory.ts';
import {
  type Binding,
  type Definition,
  type ImageTables,
  NameReader,
  sortedPointers,
} from './image-tables.ts';

const Directory = {
  exports: 0,
  imports: 1,
  exceptions: 3,
  relocations: 5,
  tls: 9,
  loadConfig: 10,
  delayImports: 13,
} as const;

const machine386 = 0x14c;
const machineX86_64 = 0x8664;
/** An image has no more functions to give or to take; hostile tables ask for more. */
const mostNames = 1 << 20;
const mostLibraries = 65_536;

/**
 * Reads what a PE image of x86 or x86-64 tells the loader. All addresses are RVAs.
 *
 * @returns `undefined` when there is no such image
 * @see Microsoft, "PE Format": export directory, import directory, delay-load import tables, base
 *   relocations, TLS directory, load configuration (Guard CF function table)
 */
export function readPeTables(memory: ImageMemory): ImageTables | undefined {
  const header = memory.uint32(60) ?? 0;
  if (memory.uint16(0) !== 0x5a4d || memory.uint32(header) !== 0x4550) return undefined;
  const machine = memory.uint16(header + 4);
  const optional = header + 24;
  const magic = memory.uint16(optional);
  const bits = magic === 0x20b ? 64 : 32;
  if (machine !== (bits === 64 ? machineX86_64 : machine386)) return undefined;
  if (bits === 32 && magic !== 0x10b) return undefined;
  const imageBase =
    (bits === 64 ? memory.uint64(optional + 24) : memory.uint32(optional + 28)) ?? 0;
  const count = memory.uint32(optional + (bits === 64 ? 108 : 92)) ?? 0;
  const directory = (index: number): { address: number; size: number } => {
    const at = optional + (bits === 64 ? 112 : 96) + 8 * index;
    if (index >= count) return { address: 0, size: 0 };
    return { address: memory.uint32(at) ?? 0, size: memory.uint32(at + 4) ?? 0 };
  };
  const reader: Reader = { memory, bits, imageBase, names: new NameReader(memory) };
  const exports = directory(Directory.exports);
  const { definitions, name } = readExports(reader, exports.address, exports.size);
  const bindings = new Map<number, Binding>();
  readImports(reader, directory(Directory.imports).address, bindings);
  readDelayImports(reader, directory(Directory.delayImports).address, bindings);
  const relocations = directory(Directory.relocations);
  const started = [
    memory.uint32(optional + 16) ?? 0,
    ...readCallbacks(reader, directory(Directory.tls).address),
    ...readGuarded(reader, directory(Directory.loadConfig)),
  ];
  const exceptions = directory(Directory.exceptions);
  return {
    format: 'pe',
    bits,
    got: undefined,
    imageBase,
    isFixed: relocations.address === 0,
    definitions,
    bindings,
    lazySlots: [],
    pointers: sortedPointers(readPointers(reader, relocations.address, relocations.size)),
    started: started.filter((address) => address !== 0 && memory.isCode(address)),
    listed: [],
    readOnly: [],
    writable: readWritable(memory, header),
    unwind: bits === 64 && exceptions.address !== 0 ? exceptions : undefined,
    name,
  };
}

function readWritable(memory: ImageMemory, header: number): { start: number; end: number }[] {
  const count = memory.uint16(header + 6) ?? 0;
  const table = header + 24 + (memory.uint16(header + 20) ?? 0);
  const ranges: { start: number; end: number }[] = [];
  for (let at = table; at < table + 40 * count; at += 40) {
    const size = memory.uint32(at + 8);
    const start = memory.uint32(at + 12);
    const flags = memory.uint32(at + 36);
    if (size === undefined || start === undefined || flags === undefined) break;
    if (flags >>> 31 === 1) ranges.push({ start, end: start + size });
  }
  return ranges;
}

interface Reader {
  readonly memory: ImageMemory;
  readonly bits: 32 | 64;
  readonly imageBase: number;
  readonly names: NameReader;
}

function readExports(
  { memory, names }: Reader,
  table: number,
  size: number,
): { readonly definitions: Map<string, Definition[]>; readonly name: string | undefined } {
  const definitions = new Map<string, Definition[]>();
  if (table === 0) return { definitions, name: undefined };
  const add = (key: string, index: number): void => {
    const address = memory.uint32(functions + 4 * index);
    if (address === undefined || address === 0) return;
    // An address inside the export directory is the name of another library's function.
    const isForwarded = address >= table && address < table + size;
    const forwarder = isForwarded ? names.read(address) : undefined;
    if (isForwarded && forwarder === undefined) return;
    const definition: Definition = {
      address,
      kind: memory.isCode(address) ? 'function' : 'data',
      ...(forwarder === undefined ? {} : { forwarder }),
    };
    const known = definitions.get(key);
    if (known === undefined) definitions.set(key, [definition]);
    else known.push(definition);
  };
  const base = memory.uint32(table + 16) ?? 0;
  const functionCount = Math.min(memory.uint32(table + 20) ?? 0, mostNames);
  const nameCount = Math.min(memory.uint32(table + 24) ?? 0, mostNames);
  const functions = memory.uint32(table + 28) ?? 0;
  const nameTable = memory.uint32(table + 32) ?? 0;
  const ordinals = memory.uint32(table + 36) ?? 0;
  for (let i = 0; i < functionCount; i++) {
    if (memory.uint32(functions + 4 * i) === undefined) break;
    add(`#${base + i}`, i);
  }
  for (let i = 0; i < nameCount; i++) {
    const nameAt = memory.uint32(nameTable + 4 * i);
    const index = memory.uint16(ordinals + 2 * i);
    if (nameAt === undefined || index === undefined) break;
    const key = names.read(nameAt);
    if (key !== undefined && index < functionCount) add(key, index);
  }
  const nameAt = memory.uint32(table + 12);
  return { definitions, name: nameAt === undefined ? undefined : names.read(nameAt) };
}

/**
 * @param lookUp  table of names and ordinals; where there is none, the slots held them until they
 *   were bound
 */
function readThunks(
  { memory, bits, names }: Reader,
  lookUp: number,
  slots: number,
  bindings: Map<number, Binding>,
): void {
  const word = bits / 8;
  for (let i = 0; i < mostNames; i++) {
    const low = memory.uint32(lookUp + word * i);
    const high = bits === 64 ? memory.uint32(lookUp + word * i + 4) : low;
    if (low === undefined || high === undefined) return;
    if (low === 0 && (bits === 32 || high === 0)) return;
    const isOrdinal = (bits === 64 ? high : low) >>> 31 === 1;
    const name = isOrdinal ? `#${low & 0xffff}` : names.read(low + 2);
    if (name !== undefined) bindings.set(slots + word * i, { kind: 'name', name });
  }
}

function readImports(reader: Reader, table: number, bindings: Map<number, Binding>): void {
  const { memory } = reader;
  for (let at = table, i = 0; table !== 0 && i < mostLibraries; at += 20, i++) {
    const lookUp = memory.uint32(at);
    const slots = memory.uint32(at + 16);
    if (lookUp === undefined || slots === undefined || slots === 0) return;
    readThunks(reader, lookUp === 0 ? slots : lookUp, slots, bindings);
  }
}

function readDelayImports(reader: Reader, table: number, bindings: Map<number, Binding>): void {
  const { memory, imageBase } = reader;
  for (let at = table, i = 0; table !== 0 && i < mostLibraries; at += 32, i++) {
    const attributes = memory.uint32(at);
    const name = memory.uint32(at + 4);
    const slots = memory.uint32(at + 12);
    const lookUp = memory.uint32(at + 16);
    if (attributes === undefined || slots === undefined || lookUp === undefined || !name) return;
    // Old linkers wrote absolute addresses.
    const base = (attributes & 1) === 1 ? 0 : imageBase;
    readThunks(reader, lookUp - base, slots - base, bindings);
  }
}

function readPointers(reader: Reader, table: number, size: number): Map<number, number> {
  const { memory, bits, imageBase } = reader;
  const pointers = new Map<number, number>();
  for (let at = table; table !== 0 && at + 8 <= table + size; ) {
    const page = memory.uint32(at);
    const length = memory.uint32(at + 4);
    if (page === undefined || length === undefined || length < 8) break;
    for (let entry = at + 8; entry + 2 <= at + length; entry += 2) {
      const value = memory.uint16(entry);
      if (value === undefined) break;
      const kind = value >> 12;
      // HIGHLOW and DIR64.
      if (kind !== (bits === 64 ? 10 : 3)) continue;
      const place = page + (value & 0xfff);
      const stored = memory.word(place, bits);
      if (stored !== undefined && stored >= imageBase) pointers.set(place, stored - imageBase);
    }
    at += length;
  }
  return pointers;
}

function readCallbacks({ memory, bits, imageBase }: Reader, tls: number): number[] {
  const callbacks: number[] = [];
  if (tls === 0) return callbacks;
  const word = bits / 8;
  const list = (memory.word(tls + 3 * word, bits) ?? 0) - imageBase;
  for (let i = 0; i < 4096 && list > 0; i++) {
    const callback = memory.word(list + word * i, bits);
    if (callback === undefined || callback === 0) break;
    callbacks.push(callback - imageBase);
  }
  return callbacks;
}

/** Functions that Control Flow Guard allows as targets of indirect calls. */
function readGuarded(
  { memory, bits, imageBase }: Reader,
  { address, size }: { readonly address: number; readonly size: number },
): number[] {
  const at = address + (bits === 64 ? 128 : 80);
  const end = address + Math.max(size, memory.uint32(address) ?? 0);
  if (address === 0 || at + 2 * (bits / 8) + 4 > end) return [];
  const table = (memory.word(at, bits) ?? 0) - imageBase;
  const count = memory.word(at + bits / 8, bits) ?? 0;
  const flags = memory.uint32(at + 2 * (bits / 8)) ?? 0;
  // Each entry is an RVA and as many bytes of flags as the highest four bits say.
  const entrySize = 4 + (flags >>> 28);
  const functions: number[] = [];
  for (let i = 0; i < Math.min(count, mostNames) && table > 0; i++) {
    const entry = memory.uint32(table + entrySize * i);
    if (entry === undefined) break;
    functions.push(entry);
  }
  return functions;
}
