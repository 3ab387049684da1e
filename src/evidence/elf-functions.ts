/**
 * What an ELF image says about its functions: where they start, which ones something points to.
 * Only tables that are mapped at run time are read, because memory dumps have no others.
 *
 * 64-bit x86 only: in 32-bit code, addresses of functions are computed in ways that leave no
 * pointer to find, so that "nothing refers to it" would mean nothing.
 *
 * @see System V ABI (ELF), and Linux Standard Base, ".eh_frame_hdr"
 */
export interface ImageFunctions {
  /** The image's own address of its lowest page; all other addresses here are its own, too. */
  readonly lowest: number;
  /** Starts of code ranges with unwind information, ascending: functions, and their split-off cold parts. */
  readonly starts: Float64Array;
  /** Functions of the dynamic symbol table by address: names. */
  readonly exported: ReadonlyMap<number, readonly string[]>;
  /** Addresses that a pointer in the data or an address computation in the code refers to. */
  readonly referenced: ReadonlySet<number>;
  /** Names of symbols to which this image holds a pointer. */
  readonly imports: ReadonlySet<string>;
  /** Data that instructions compute the address of, ascending: jump tables are among it. */
  readonly tables: Float64Array;
  /** Positions of functions in tables of function pointers (virtual tables among them), by address. */
  readonly slots: ReadonlyMap<number, readonly number[]>;
  /** The same for functions that the table names, because another image may replace them. */
  readonly namedSlots: ReadonlyMap<string, readonly number[]>;
  /** Linkage stubs: `[start, end)` in which every 16th byte is an entry. */
  readonly stubs: { readonly start: number; readonly end: number } | undefined;
}

/** A run of the image's bytes. */
export interface ImageBytes {
  /** Bytes from the lowest page of the image, as mapped. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly isExecutable: boolean;
}

const relocationNames = new Set([
  1, // R_X86_64_64
  6, // R_X86_64_GLOB_DAT
  7, // R_X86_64_JUMP_SLOT
]);
const indirectFunction = 10;
const functionType = 2;

/** @returns `undefined` when the bytes are no 64-bit ELF image with a dynamic section and unwind table */
export function readImageFunctions(runs: readonly ImageBytes[]): ImageFunctions | undefined {
  const lowest = lowestPage(new ImageMemory(runs, 0));
  if (lowest === undefined) return undefined;
  const memory = new ImageMemory(runs, lowest);
  const dynamic = new Map<number, number>();
  let header: { readonly address: number; readonly size: number } | undefined;
  for (const { type, address, size } of programHeaders(memory, lowest) ?? []) {
    if (type === 0x6474e550) header = { address, size };
    if (type === 2) readDynamic(memory, address, size, dynamic);
  }
  if (header === undefined || dynamic.size === 0) return undefined;
  const starts = readUnwindStarts(memory, header.address);
  if (starts === undefined) return undefined;
  const symbols = readSymbols(memory, dynamic);
  const { referenced, tables } = readReferences(memory, symbols);
  for (const tag of [12, 13]) {
    // DT_INIT and DT_FINI are called through a pointer without one being stored anywhere else.
    const address = dynamic.get(tag);
    if (address !== undefined) referenced.add(address);
  }
  const entry = memory.uint64(lowest + 24);
  if (entry !== undefined && entry > 0) referenced.add(entry);
  for (const address of symbols.resolvers) referenced.add(address);
  return {
    lowest,
    starts,
    exported: symbols.exported,
    referenced,
    imports: readImports(memory, dynamic, symbols),
    tables,
    ...readSlots(memory, dynamic, symbols),
    stubs: readStubs(memory, dynamic),
  };
}

interface ProgramHeader {
  readonly type: number;
  readonly address: number;
  readonly size: number;
}

/** @param at  address of the ELF header; @returns `undefined` when there is none of 64-bit ELF */
function programHeaders(memory: ImageMemory, at: number): ProgramHeader[] | undefined {
  if (memory.uint32(at) !== 0x464c457f || memory.uint8(at + 4) !== 2) return undefined;
  const table = memory.uint64(at + 32);
  const entrySize = memory.uint16(at + 54);
  const entries = memory.uint16(at + 56);
  if (table === undefined || entrySize === undefined || entries === undefined) return undefined;
  const headers: ProgramHeader[] = [];
  for (let i = 0; i < entries; i++) {
    const entry = at + table + i * entrySize;
    const type = memory.uint32(entry);
    const address = memory.uint64(entry + 16);
    const size = memory.uint64(entry + 40);
    if (type === undefined || address === undefined || size === undefined) return undefined;
    headers.push({ type, address, size });
  }
  return headers;
}

function lowestPage(memory: ImageMemory): number | undefined {
  const loaded = programHeaders(memory, 0)?.filter((header) => header.type === 1) ?? [];
  if (loaded.length === 0) return undefined;
  const lowest = Math.min(...loaded.map((header) => header.address));
  return lowest - (lowest % 4096);
}

/** Bytes by address of the image's own address space; `undefined` outside. */
class ImageMemory {
  readonly runs: readonly (ImageBytes & { readonly address: number })[];
  readonly #views: readonly DataView[];

  constructor(runs: readonly ImageBytes[], lowest: number) {
    this.runs = runs.map((run) => ({ ...run, address: run.offset + lowest }));
    this.#views = runs.map(
      ({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
    );
  }

  #find(address: number, size: number): { view: DataView; at: number } | undefined {
    for (let i = 0; i < this.runs.length; i++) {
      const at = address - this.runs[i].address;
      if (at >= 0 && at + size <= this.runs[i].bytes.length) return { view: this.#views[i], at };
    }
    return undefined;
  }

  uint8(address: number): number | undefined {
    const found = this.#find(address, 1);
    return found?.view.getUint8(found.at);
  }

  uint16(address: number): number | undefined {
    const found = this.#find(address, 2);
    return found?.view.getUint16(found.at, true);
  }

  uint32(address: number): number | undefined {
    const found = this.#find(address, 4);
    return found?.view.getUint32(found.at, true);
  }

  int32(address: number): number | undefined {
    const found = this.#find(address, 4);
    return found?.view.getInt32(found.at, true);
  }

  /** @returns a double: exact below 2^53 */
  uint64(address: number): number | undefined {
    const found = this.#find(address, 8);
    if (found === undefined) return undefined;
    return (
      found.view.getUint32(found.at, true) +
      found.view.getUint32(found.at + 4, true) * 0x1_0000_0000
    );
  }

  string(address: number): string {
    let text = '';
    for (let i = 0; i < 4096; i++) {
      const byte = this.uint8(address + i);
      if (byte === undefined || byte === 0) break;
      text += String.fromCharCode(byte);
    }
    return text;
  }

  isCode(address: number): boolean {
    return this.runs.some(
      (run) =>
        run.isExecutable && address >= run.address && address < run.address + run.bytes.length,
    );
  }
}

function readDynamic(
  memory: ImageMemory,
  address: number,
  size: number,
  into: Map<number, number>,
): void {
  for (let at = address; at + 16 <= address + size; at += 16) {
    const tag = memory.uint64(at);
    const value = memory.uint64(at + 8);
    if (tag === undefined || value === undefined || tag === 0) return;
    into.set(tag, value);
  }
}

/** The sorted table of `.eh_frame_hdr`: first address of every range with unwind information. */
function readUnwindStarts(memory: ImageMemory, address: number): Float64Array | undefined {
  // Version 1, pointers relative, count as udata4, table as sdata4 relative to the header: what
  // every linker writes.
  if (memory.uint32(address) !== 0x3b031b01) return undefined;
  const count = memory.uint32(address + 8);
  if (count === undefined || count > 10_000_000) return undefined;
  const starts = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const offset = memory.int32(address + 12 + 8 * i);
    if (offset === undefined) return undefined;
    starts[i] = address + offset;
  }
  return starts.sort();
}

interface Symbols {
  readonly exported: Map<number, string[]>;
  /** Resolvers of indirect functions: the dynamic linker calls them. */
  readonly resolvers: Set<number>;
  readonly table: number;
  readonly strings: number;
  readonly count: number;
}

function readSymbols(memory: ImageMemory, dynamic: ReadonlyMap<number, number>): Symbols {
  const table = dynamic.get(6) ?? 0;
  const strings = dynamic.get(5) ?? 0;
  const count = table === 0 || strings === 0 ? 0 : countSymbols(memory, dynamic);
  const exported = new Map<number, string[]>();
  const resolvers = new Set<number>();
  for (let i = 1; i < count; i++) {
    const at = table + 24 * i;
    const name = memory.uint32(at);
    const info = memory.uint8(at + 4);
    const section = memory.uint16(at + 6);
    const value = memory.uint64(at + 8);
    if (name === undefined || info === undefined || value === undefined) break;
    const type = info & 15;
    if (section === 0 || (type !== functionType && type !== indirectFunction)) continue;
    if (type === indirectFunction) resolvers.add(value);
    const names = exported.get(value) ?? [];
    names.push(memory.string(strings + name));
    exported.set(value, names);
  }
  return { exported, resolvers, table, strings, count };
}

/** The symbol table has no length; its hash table has. */
function countSymbols(memory: ImageMemory, dynamic: ReadonlyMap<number, number>): number {
  const classic = dynamic.get(4);
  if (classic !== undefined) return memory.uint32(classic + 4) ?? 0;
  const hash = dynamic.get(0x6ffffef5);
  if (hash === undefined) return 0;
  const buckets = memory.uint32(hash) ?? 0;
  const first = memory.uint32(hash + 4) ?? 0;
  const filterWords = memory.uint32(hash + 8) ?? 0;
  const bucketTable = hash + 16 + 8 * filterWords;
  const chains = bucketTable + 4 * buckets;
  let last = 0;
  for (let i = 0; i < buckets; i++) last = Math.max(last, memory.uint32(bucketTable + 4 * i) ?? 0);
  if (last < first) return first;
  // The last chain ends at the entry whose lowest bit is set.
  while (last < 10_000_000) {
    const entry = memory.uint32(chains + 4 * (last - first));
    if (entry === undefined || (entry & 1) === 1) return last + 1;
    last++;
  }
  return 0;
}

function readReferences(
  memory: ImageMemory,
  symbols: Symbols,
): { readonly referenced: Set<number>; readonly tables: Float64Array } {
  const referenced = new Set<number>();
  const tables = new Set<number>();
  const symbolsEnd = symbols.table + 24 * symbols.count;
  for (const run of memory.runs) {
    const { bytes, address } = run;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (run.isExecutable) {
      // lea reg, [rip + disp32]: 48 or 4c, 8d, then a ModRM byte with mod 0 and rm 5.
      for (let i = 0; i + 7 <= bytes.length; i++) {
        if (bytes[i + 1] !== 0x8d || (bytes[i] | 4) !== 0x4c || (bytes[i + 2] & 0xc7) !== 5)
          continue;
        const target = address + i + 7 + view.getInt32(i + 3, true);
        if (memory.isCode(target)) referenced.add(target);
        else tables.add(target);
      }
      continue;
    }
    // Pointers as they stand, and addends of relocations; both are 8-byte aligned. The symbol
    // table holds the address of every exported function, and is no pointer to it.
    for (let i = (8 - (address & 7)) & 7; i + 8 <= bytes.length; i += 8) {
      if (view.getUint32(i + 4, true) !== 0) continue;
      const value = view.getUint32(i, true);
      if (value < 0x100 || !memory.isCode(value)) continue;
      const at = address + i;
      if (at < symbols.table || at >= symbolsEnd) referenced.add(value);
    }
  }
  return { referenced, tables: Float64Array.from(tables).sort() };
}

function readImports(
  memory: ImageMemory,
  dynamic: ReadonlyMap<number, number>,
  symbols: Symbols,
): Set<string> {
  const imports = new Set<string>();
  const read = (table: number | undefined, size: number | undefined): void => {
    if (table === undefined || size === undefined) return;
    for (let at = table; at + 24 <= table + size; at += 24) {
      const type = memory.uint32(at + 8);
      const symbol = memory.uint32(at + 12);
      if (type === undefined || symbol === undefined) return;
      if (!relocationNames.has(type) || symbol === 0 || symbol >= symbols.count) continue;
      const name = memory.uint32(symbols.table + 24 * symbol);
      if (name !== undefined) imports.add(memory.string(symbols.strings + name));
    }
  };
  // Lazily bound functions (the PLT's table, DT_JMPREL) are reached by direct calls to stubs: no
  // function pointer to them exists outside their slot.
  read(dynamic.get(7), dynamic.get(8));
  return imports;
}

/**
 * Finds runs of function pointers in the data. A virtual table is such a run: the words before it
 * (type information, offset to top) are no pointers to code. So are tables of C functions.
 */
function readSlots(
  memory: ImageMemory,
  dynamic: ReadonlyMap<number, number>,
  symbols: Symbols,
): Pick<ImageFunctions, 'slots' | 'namedSlots'> {
  const words = new Map<number, number | string>();
  for (const { bytes, address, isExecutable } of memory.runs) {
    if (isExecutable) continue;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let i = (8 - (address & 7)) & 7; i + 8 <= bytes.length; i += 8) {
      if (view.getUint32(i + 4, true) !== 0) continue;
      const value = view.getUint32(i, true);
      if (value >= 0x100 && memory.isCode(value)) words.set(address + i, value);
    }
  }
  const table = dynamic.get(7) ?? 0;
  const end = table + (dynamic.get(8) ?? 0);
  // Addends and symbols look like pointers, but stand in no table of functions.
  for (let at = table; at < end; at += 8) words.delete(at);
  for (let i = 0; i < 3 * symbols.count; i++) words.delete(symbols.table + 8 * i);
  for (let at = table; at + 24 <= end; at += 24) {
    const place = memory.uint64(at);
    const type = memory.uint32(at + 8);
    const symbol = memory.uint32(at + 12) ?? 0;
    const addend = memory.uint64(at + 16);
    if (place === undefined || addend === undefined) break;
    if (type === 8 && memory.isCode(addend)) words.set(place, addend);
    if (type !== 1 || symbol === 0 || symbol >= symbols.count || addend !== 0) continue;
    const entry = symbols.table + 24 * symbol;
    const kind = (memory.uint8(entry + 4) ?? 0) & 15;
    // Type information and other data have types of their own; what another image defines has none.
    if (kind !== functionType && kind !== 0) continue;
    const name = memory.string(symbols.strings + (memory.uint32(entry) ?? 0));
    if (!name.startsWith('_ZT')) words.set(place, name);
  }
  const slots = new Map<number, number[]>();
  const namedSlots = new Map<string, number[]>();
  const add = <K>(map: Map<K, number[]>, key: K, slot: number): void => {
    const known = map.get(key);
    if (known === undefined) map.set(key, [slot]);
    else if (!known.includes(slot)) known.push(slot);
  };
  let previous = Number.NaN;
  let slot = 0;
  for (const place of [...words.keys()].sort((a, b) => a - b)) {
    slot = place === previous + 8 ? slot + 1 : 0;
    previous = place;
    const word = words.get(place)!;
    if (typeof word === 'number') add(slots, word, slot);
    else add(namedSlots, word, slot);
  }
  return { slots, namedSlots };
}

/** The PLT, found by its first GOT slot: each lazily bound slot points back into it. */
function readStubs(
  memory: ImageMemory,
  dynamic: ReadonlyMap<number, number>,
): ImageFunctions['stubs'] {
  const slots = (dynamic.get(2) ?? 0) / 24;
  const got = dynamic.get(3);
  if (slots < 1 || got === undefined) return undefined;
  const first = memory.uint64(got + 24);
  if (first === undefined || !memory.isCode(first)) return undefined;
  const start = Math.floor(first / 16) * 16 - 16;
  return { start, end: start + 16 * (slots + 1) };
}
