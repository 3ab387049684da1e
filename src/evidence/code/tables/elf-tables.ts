import type { ImageMemory } from './image-memory.ts';
import {
  type Binding,
  type Definition,
  type ImageTables,
  NameReader,
  sortedPointers,
} from './image-tables.ts';

const Tag = {
  pltrelsz: 2,
  pltgot: 3,
  hash: 4,
  strtab: 5,
  symtab: 6,
  rela: 7,
  relasz: 8,
  init: 12,
  fini: 13,
  soname: 14,
  rel: 17,
  relsz: 18,
  pltrel: 20,
  jmprel: 23,
  initArray: 25,
  finiArray: 26,
  initArraySize: 27,
  finiArraySize: 28,
  relrsz: 35,
  relr: 36,
  gnuHash: 0x6ffffef5,
  versym: 0x6ffffff0,
  verdef: 0x6ffffffc,
  verneed: 0x6ffffffe,
} as const;

/** Types that the two machines number alike, and the two that differ. */
const Relocation = {
  /** R_X86_64_64, R_386_32. */
  absolute: 1,
  globDat: 6,
  jumpSlot: 7,
  relative: 8,
  /** R_X86_64_IRELATIVE. */
  irelative64: 37,
  /** R_386_IRELATIVE. */
  irelative32: 42,
} as const;

const machine386 = 3;
const machineX86_64 = 62;
const mostVersions = 4096;

interface Header {
  readonly type: number;
  readonly flags: number;
  readonly address: number;
  readonly size: number;
}

interface Layout {
  readonly bits: 32 | 64;
  readonly word: 4 | 8;
  readonly symbolSize: 16 | 24;
}

/**
 * Reads what an ELF image of x86 or x86-64 tells the dynamic linker. Only tables that are mapped
 * at run time are read, because dumps of memory have no others.
 *
 * @param lowest  the image's own address of its lowest page, where its header lies
 * @returns `undefined` when there is no such image
 * @see System V ABI, "Dynamic Linking", its supplements for i386 and x86-64, and Linux Standard
 *   Base, "Symbol Versioning"; RELR: generic ABI, "Relative relocation compression"
 */
export function readElfTables(memory: ImageMemory, lowest: number): ImageTables | undefined {
  const machine = memory.uint16(lowest + 18);
  const bits = memory.uint8(lowest + 4) === 2 ? 64 : 32;
  const isKnown = bits === 64 ? machine === machineX86_64 : machine === machine386;
  if (memory.uint32(lowest) !== 0x464c457f || !isKnown) return undefined;
  const layout: Layout = { bits, word: bits === 64 ? 8 : 4, symbolSize: bits === 64 ? 24 : 16 };
  const headers = readHeaders(memory, lowest, layout);
  const dynamic = readDynamic(memory, headers, layout);
  const names = new NameReader(memory);
  const versions = readVersions(memory, dynamic, names);
  const strings = dynamic.get(Tag.strtab) ?? 0;
  const started: number[] = [];
  const start = (address: number | undefined): void => {
    if (address !== undefined && address !== 0 && memory.isCode(address)) started.push(address);
  };
  start(memory.word(lowest + 24, bits));
  // Initializers and finalizers are called through a pointer that is stored nowhere else.
  start(dynamic.get(Tag.init));
  start(dynamic.get(Tag.fini));
  const relocations = readRelocations(memory, dynamic, layout, names, versions);
  for (const [array, size] of [
    [Tag.initArray, Tag.initArraySize],
    [Tag.finiArray, Tag.finiArraySize],
  ] as const) {
    const from = dynamic.get(array) ?? 0;
    const to = from + (dynamic.get(size) ?? 0);
    for (let at = from; at + layout.word <= to; at += layout.word) {
      const stored = memory.word(at, bits);
      if (stored === undefined) break;
      start(relocations.pointers.get(at) ?? stored);
    }
  }
  const definitions = readDefinitions(memory, dynamic, layout, names, versions);
  const unwind = headers.find(({ type }) => type === 0x6474e550);
  const soname = dynamic.get(Tag.soname);
  return {
    format: 'elf',
    bits,
    got: dynamic.get(Tag.pltgot),
    imageBase: 0,
    isFixed: memory.uint16(lowest + 16) === 2,
    definitions,
    bindings: relocations.bindings,
    lazySlots: relocations.lazySlots,
    pointers: sortedPointers(relocations.pointers),
    started,
    listed: [],
    readOnly: rangesOf(headers.filter(({ type }) => type === 0x6474e552)),
    writable: rangesOf(headers.filter(({ type, flags }) => type === 1 && (flags & 2) !== 0)),
    unwind: unwind === undefined ? undefined : { address: unwind.address, size: unwind.size },
    name: soname === undefined ? undefined : names.read(strings + soname),
  };
}

function rangesOf(headers: readonly Header[]): { start: number; end: number }[] {
  return headers.map(({ address, size }) => ({ start: address, end: address + size }));
}

function readHeaders(memory: ImageMemory, lowest: number, { bits }: Layout): Header[] {
  const is64 = bits === 64;
  const table = lowest + (memory.word(lowest + (is64 ? 32 : 28), bits) ?? 0);
  const entrySize = memory.uint16(lowest + (is64 ? 54 : 42)) ?? 0;
  const count = memory.uint16(lowest + (is64 ? 56 : 44)) ?? 0;
  const headers: Header[] = [];
  for (let i = 0; i < count; i++) {
    const at = table + i * entrySize;
    const type = memory.uint32(at);
    const flags = memory.uint32(at + (is64 ? 4 : 24));
    const address = memory.word(at + (is64 ? 16 : 8), bits);
    const size = memory.word(at + (is64 ? 40 : 20), bits);
    if (type === undefined || flags === undefined) break;
    if (address === undefined || size === undefined) break;
    headers.push({ type, flags, address, size });
  }
  return headers;
}

function readDynamic(
  memory: ImageMemory,
  headers: readonly Header[],
  { bits, word }: Layout,
): Map<number, number> {
  const dynamic = new Map<number, number>();
  const header = headers.find(({ type }) => type === 2);
  if (header === undefined) return dynamic;
  const end = header.address + header.size;
  for (let at = header.address; at + 2 * word <= end; at += 2 * word) {
    const tag = memory.word(at, bits);
    const value = memory.word(at + word, bits);
    if (tag === undefined || value === undefined || tag === 0) break;
    dynamic.set(tag, value);
  }
  return dynamic;
}

/** Names of versions by their index in the image; those that it defines and those that it needs. */
interface Versions {
  /** Table of 16-bit indices, one a symbol; `undefined` = the image has no versions. */
  readonly table: number | undefined;
  readonly names: ReadonlyMap<number, string>;
}

function readVersions(
  memory: ImageMemory,
  dynamic: ReadonlyMap<number, number>,
  reader: NameReader,
): Versions {
  const names = new Map<number, string>();
  const strings = dynamic.get(Tag.strtab) ?? 0;
  let entry = dynamic.get(Tag.verdef) ?? 0;
  for (let i = 0; entry !== 0 && i < mostVersions; i++) {
    const flags = memory.uint16(entry + 2);
    const index = memory.uint16(entry + 4);
    const first = memory.uint32(entry + 12);
    const next = memory.uint32(entry + 16);
    if (flags === undefined || index === undefined || first === undefined) break;
    const nameAt = memory.uint32(entry + first);
    const name = nameAt === undefined ? undefined : reader.read(strings + nameAt);
    // The base version is the file's own name.
    if (name !== undefined && (flags & 1) === 0) names.set(index, name);
    if (next === undefined || next === 0) break;
    entry += next;
  }
  entry = dynamic.get(Tag.verneed) ?? 0;
  for (let i = 0; entry !== 0 && i < mostVersions; i++) {
    const count = memory.uint16(entry + 2) ?? 0;
    let need = entry + (memory.uint32(entry + 8) ?? 0);
    for (let k = 0; k < count; k++) {
      const index = memory.uint16(need + 6);
      const nameAt = memory.uint32(need + 8);
      const next = memory.uint32(need + 12);
      if (index === undefined || nameAt === undefined) break;
      const name = reader.read(strings + nameAt);
      if (name !== undefined) names.set(index & 0x7fff, name);
      if (next === undefined || next === 0) break;
      need += next;
    }
    const next = memory.uint32(entry + 12);
    if (next === undefined || next === 0) break;
    entry += next;
  }
  return { table: dynamic.get(Tag.versym), names };
}

function versionOf(memory: ImageMemory, versions: Versions, symbol: number): string | undefined {
  if (versions.table === undefined) return undefined;
  const index = memory.uint16(versions.table + 2 * symbol);
  return index === undefined ? undefined : versions.names.get(index & 0x7fff);
}

function readDefinitions(
  memory: ImageMemory,
  dynamic: ReadonlyMap<number, number>,
  { bits, symbolSize }: Layout,
  names: NameReader,
  versions: Versions,
): Map<string, Definition[]> {
  const definitions = new Map<string, Definition[]>();
  const table = dynamic.get(Tag.symtab) ?? 0;
  const strings = dynamic.get(Tag.strtab) ?? 0;
  if (table === 0 || strings === 0) return definitions;
  const count = countSymbols(memory, dynamic, bits);
  const is64 = bits === 64;
  for (let i = 1; i < count; i++) {
    const at = table + symbolSize * i;
    const nameAt = memory.uint32(at);
    const info = memory.uint8(at + (is64 ? 4 : 12));
    const section = memory.uint16(at + (is64 ? 6 : 14));
    const value = memory.word(at + (is64 ? 8 : 4), bits);
    if (nameAt === undefined || info === undefined || value === undefined) break;
    const kind = symbolKinds[info & 15];
    // A number rather than a place (SHN_ABS). A function that is not defined here and still has an
    // address stands for the stub at it, which all images take for the function: so fixed programs
    // compare and store its address.
    if (section === undefined || section === 0xfff1) continue;
    if (section === 0 && (value === 0 || kind !== 'function')) continue;
    const name = kind === undefined ? undefined : names.read(strings + nameAt);
    if (kind === undefined || name === undefined) continue;
    const version = versionOf(memory, versions, i);
    const definition: Definition = {
      address: value,
      kind,
      ...(version === undefined ? {} : { version }),
    };
    const known = definitions.get(name);
    if (known === undefined) definitions.set(name, [definition]);
    else known.push(definition);
  }
  return definitions;
}

/** STT_NOTYPE (assembly that does not say), STT_OBJECT, STT_FUNC, STT_COMMON, STT_GNU_IFUNC. */
const symbolKinds: Partial<Record<number, Definition['kind']>> = {
  0: 'untyped',
  1: 'data',
  2: 'function',
  5: 'data',
  10: 'resolver',
};

/** The symbol table has no length; its hash table has. */
function countSymbols(
  memory: ImageMemory,
  dynamic: ReadonlyMap<number, number>,
  bits: 32 | 64,
): number {
  const classic = dynamic.get(Tag.hash);
  if (classic !== undefined) return memory.uint32(classic + 4) ?? 0;
  const hash = dynamic.get(Tag.gnuHash);
  if (hash === undefined) return 0;
  const buckets = memory.uint32(hash) ?? 0;
  const first = memory.uint32(hash + 4) ?? 0;
  const filterWords = memory.uint32(hash + 8) ?? 0;
  const bucketTable = hash + 16 + (bits / 8) * filterWords;
  const chains = bucketTable + 4 * buckets;
  let last = 0;
  for (let i = 0; i < buckets; i++) {
    const bucket = memory.uint32(bucketTable + 4 * i);
    if (bucket === undefined) return 0;
    last = Math.max(last, bucket);
  }
  if (last < first) return first;
  // The last chain ends at the entry whose lowest bit is set.
  for (; ; last++) {
    const entry = memory.uint32(chains + 4 * (last - first));
    if (entry === undefined) return 0;
    if ((entry & 1) === 1) return last + 1;
  }
}

interface Relocations {
  readonly bindings: Map<number, Binding>;
  readonly pointers: Map<number, number>;
  readonly lazySlots: number[];
}

function readRelocations(
  memory: ImageMemory,
  dynamic: ReadonlyMap<number, number>,
  layout: Layout,
  names: NameReader,
  versions: Versions,
): Relocations {
  const { bits, word, symbolSize } = layout;
  const is64 = bits === 64;
  const bindings = new Map<number, Binding>();
  const pointers = new Map<number, number>();
  const lazySlots: number[] = [];
  const symbols = dynamic.get(Tag.symtab) ?? 0;
  const strings = dynamic.get(Tag.strtab) ?? 0;

  const bind = (place: number, type: number, symbol: number, addend: number): void => {
    const at = symbols + symbolSize * symbol;
    const nameAt = symbols === 0 || symbol === 0 ? undefined : memory.uint32(at);
    const name = nameAt === undefined ? undefined : names.read(strings + nameAt);
    if (name === undefined) {
      // A local symbol: a place of this image.
      const value = memory.word(at + (is64 ? 8 : 4), bits);
      if (symbol !== 0 && value !== undefined) pointers.set(place, value + addend);
      return;
    }
    // The middle of a named object is no function.
    if (type === Relocation.absolute && addend !== 0) return;
    const version = versionOf(memory, versions, symbol);
    const info = memory.uint8(at + (is64 ? 4 : 12)) ?? 0;
    bindings.set(place, {
      kind: 'name',
      name,
      ...(version === undefined ? {} : { version }),
      ...(symbolKinds[info & 15] === 'data' ? { isData: true } : {}),
    });
  };

  const read = (table: number, size: number, hasAddends: boolean, isLazy: boolean): void => {
    const entrySize = hasAddends ? 3 * word : 2 * word;
    for (let at = table; at + entrySize <= table + size; at += entrySize) {
      const place = memory.word(at, bits);
      const low = memory.uint32(at + word);
      const high = is64 ? memory.uint32(at + word + 4) : 0;
      if (place === undefined || low === undefined || high === undefined) return;
      const type = is64 ? low : low & 0xff;
      const symbol = is64 ? high : low >>> 8;
      const stored = hasAddends ? at + 2 * word : place;
      const addend = memory.word(stored, bits) ?? 0;
      if (isLazy) lazySlots.push(place);
      switch (type) {
        case Relocation.relative:
          pointers.set(place, addend);
          break;
        case is64 ? Relocation.irelative64 : Relocation.irelative32:
          bindings.set(place, { kind: 'resolver', address: addend });
          break;
        case Relocation.absolute:
          bind(place, type, symbol, addend);
          break;
        case Relocation.globDat:
        case Relocation.jumpSlot:
          bind(place, type, symbol, 0);
          break;
        default:
      }
    }
  };

  readRelr(memory, dynamic, layout, (place) => {
    const target = memory.word(place, bits);
    if (target !== undefined) pointers.set(place, target);
  });
  read(dynamic.get(Tag.rela) ?? 0, dynamic.get(Tag.relasz) ?? 0, true, false);
  read(dynamic.get(Tag.rel) ?? 0, dynamic.get(Tag.relsz) ?? 0, false, false);
  const lazyHasAddends = (dynamic.get(Tag.pltrel) ?? (is64 ? Tag.rela : Tag.rel)) === Tag.rela;
  read(dynamic.get(Tag.jmprel) ?? 0, dynamic.get(Tag.pltrelsz) ?? 0, lazyHasAddends, true);
  return { bindings, pointers, lazySlots };
}

/** Relative relocations as addresses, each followed by bit maps of the words behind it. */
function readRelr(
  memory: ImageMemory,
  dynamic: ReadonlyMap<number, number>,
  { bits, word }: Layout,
  see: (place: number) => void,
): void {
  const table = dynamic.get(Tag.relr) ?? 0;
  const end = table + (dynamic.get(Tag.relrsz) ?? 0);
  let next = 0;
  for (let at = table; table !== 0 && at + word <= end; at += word) {
    const low = memory.uint32(at);
    const high = bits === 64 ? memory.uint32(at + 4) : 0;
    if (low === undefined || high === undefined) return;
    if ((low & 1) === 0) {
      next = low + high * 0x1_0000_0000;
      see(next);
      next += word;
      continue;
    }
    for (let bit = 1; bit < bits; bit++) {
      const isSet = bit < 32 ? (low >>> bit) & 1 : (high >>> (bit - 32)) & 1;
      if (isSet === 1) see(next + (bit - 1) * word);
    }
    next += (bits - 1) * word;
  }
}
