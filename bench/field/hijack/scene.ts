import { execFileSync } from 'node:child_process';
import { Decoder, DecoderOptions } from 'iced-x86';
import { functionStarts, type Memory } from './memory.ts';

/** A word in writable memory that holds the address of a function, or of a table of functions. */
export interface PointerSlot {
  readonly address: number;
  /** The function, or the table. */
  readonly value: number;
  /** Functions of the table; empty where the slot holds a function itself. */
  readonly table: readonly number[];
}

/** What general registers hold, by name in lower case, as `rdi`. */
export type Registers = Readonly<Record<string, bigint>>;

/** Everything about a moment of a run that a plan is made of. */
export interface Scene {
  readonly memory: Memory;
  /** Words on the stack that look like return addresses into the program's own code, innermost first. */
  readonly returns: readonly { readonly slot: number; readonly address: number }[];
  readonly pointers: readonly PointerSlot[];
  /** Functions that ran after this moment, with the registers of their first call; `entered` fills it. */
  readonly entered: Map<number, Registers>;
  /** Functions of the program and of its own libraries. */
  readonly functions: readonly number[];
  /** Addresses of functions of the C library, by name. */
  readonly libc: ReadonlyMap<string, number>;
  /** Addresses of functions of `hijack.c`, by name. */
  readonly hijack: ReadonlyMap<string, number>;
}

const isOwn = (path: string): boolean =>
  !/\/(?:ld-linux[^/]*|libc\.so[^/]*|libm\.so[^/]*|libhijack\.so|libstdc\+\+[^/]*|libgcc_s[^/]*)$/.test(
    path,
  );

export function sceneOf(memory: Memory): Scene {
  const pathOf = (name: string): string => {
    const found = memory.codeRegions.find(({ path }) => path.endsWith(`/${name}`));
    if (found === undefined) throw new Error(`the program does not use ${name}`);
    return found.path;
  };
  const symbols = (path: string): ReadonlyMap<string, number> =>
    symbolsOf(path, memory.baseOf(path));
  const starts = new Set<number>();
  const own = new Set<number>();
  for (const path of new Set(memory.codeRegions.map((region) => region.path))) {
    const base = memory.baseOf(path);
    for (const start of functionStarts(path)) {
      starts.add(base + start);
      if (isOwn(path)) own.add(base + start);
    }
  }
  return {
    memory,
    returns: returnSlots(memory),
    pointers: pointerSlots(memory, starts, own),
    entered: new Map(),
    functions: [...own].sort((a, b) => a - b),
    libc: symbols(pathOf('libc.so.6')),
    hijack: symbols(pathOf('libhijack.so')),
  };
}

function returnSlots(memory: Memory): { slot: number; address: number }[] {
  const stack = memory.dumped.find(({ start }) => start === memory.stackPointer);
  if (stack === undefined) return [];
  const found: { slot: number; address: number }[] = [];
  for (let at = 0; at + 8 <= stack.bytes.length && found.length < 24; at += 8) {
    const address = Number(stack.bytes.readBigUInt64LE(at));
    const region = memory.codeRegionOf(address);
    if (region === undefined || !isOwn(region.path)) continue;
    // CALL is E8 and 4 bytes, or FF /2 with up to 5 more.
    const before = memory.codeAt(address - 8, 8);
    if (before === undefined || before.length < 8) continue;
    const isCall = [2, 3, 6, 7].some(
      (n) => before[8 - n] === 0xff && (before[9 - n] & 0x38) === 0x10,
    );
    if (before[3] === 0xe8 || isCall) found.push({ slot: memory.stackPointer + at, address });
  }
  return found;
}

function pointerSlots(
  memory: Memory,
  starts: ReadonlySet<number>,
  own: ReadonlySet<number>,
): PointerSlot[] {
  const slots: PointerSlot[] = [];
  const tables = new Map<number, readonly number[]>();
  const tableAt = (address: number): readonly number[] => {
    let table = tables.get(address);
    if (table === undefined) {
      const entries: number[] = [];
      for (let i = 0; i < 24; i++) {
        const entry = Number(memory.word(address + 8 * i) ?? 0n);
        if (!starts.has(entry)) break;
        entries.push(entry);
      }
      table = entries;
      tables.set(address, table);
    }
    return table;
  };
  for (const { start, bytes } of memory.dumped) {
    const region = memory.regionOf(start);
    if (region === undefined || !region.rights.startsWith('rw')) continue;
    if (start === memory.stackPointer || (region.path !== '' && !isOwn(region.path))) continue;
    for (let at = 0; at + 8 <= bytes.length; at += 8) {
      const value = Number(bytes.readBigUInt64LE(at));
      if (value < 0x10000 || value > 0x7fff_ffff_ffff) continue;
      if (own.has(value)) slots.push({ address: start + at, value, table: [] });
      else if (value % 8 === 0 && memory.regionOf(value)?.rights === 'r--p') {
        const table = tableAt(value);
        if (table.length >= 2 && own.has(table[0])) {
          slots.push({ address: start + at, value, table });
        }
      }
    }
  }
  return slots;
}

function symbolsOf(path: string, base: number): ReadonlyMap<string, number> {
  const text = execFileSync('nm', ['-D', '--defined-only', path], { encoding: 'latin1' });
  const lines = [...text.matchAll(/^(\w+) [TWt] ([^@\s]+)/gm)];
  return new Map(lines.map(([, value, name]) => [name, base + Number.parseInt(value, 16)]));
}

/** @returns starts of instructions in the first `length` bytes of a function, its own left out */
export function instructionsIn(memory: Memory, start: number, length: number): number[] {
  const bytes = memory.codeAt(start, length);
  if (bytes === undefined) return [];
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  const found: number[] = [];
  try {
    while (decoder.canDecode) {
      const at = decoder.position;
      const instruction = decoder.decode();
      const stops =
        instruction.isInvalid || instruction.isJmpShortOrNear || instruction.mnemonic === 0;
      instruction.free();
      if (at > 0) found.push(start + at);
      if (stops) break;
    }
  } finally {
    decoder.free();
  }
  return found;
}
