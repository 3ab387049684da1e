import type { ImageMemory, ImageRun } from './image-memory.ts';
import type { ImageTables } from './image-tables.ts';
import { slotTransferAt } from './linkage.ts';
import { type CodeRanges, rangeAt } from './unwind-table.ts';

/** What code and data of an image refer to; ascending addresses of its own. */
export interface CodeReferences {
  /** Code whose address is computed by instructions or stored by the loader. */
  readonly taken: Float64Array;
  /** In images that stay where they are: code inside functions to which data points, such as labels. */
  readonly inside: Float64Array;
  /** Data that instructions, or pointers in the data, refer to. */
  readonly data: Float64Array;
}

/**
 * Finds references by the shape of instructions at every byte, without reading instructions one
 * after the other: a shape that is none by chance makes a place count as referred to that is not,
 * and nothing is missed where data stands between instructions.
 */
export function readCodeReferences(
  memory: ImageMemory,
  tables: ImageTables,
  ranges: CodeRanges,
): CodeReferences {
  const taken = new Set<number>();
  const data = new Set<number>();
  const inside = new Set<number>();
  const refer = (target: number): void => {
    const run = memory.runAt(target);
    if (run?.isExecutable === true) taken.add(target);
    else if (run !== undefined) data.add(target);
  };
  const extent = {
    lowest: Math.max(1, memory.runs[0]?.start ?? 0),
    highest: memory.runs.at(-1)?.end ?? 0,
  };
  for (const target of tables.pointers.targets) refer(target);
  const isAbsolute = tables.isFixed || (tables.format === 'pe' && tables.bits === 32);
  for (const run of memory.runs) {
    if (run.isExecutable) {
      referredBy(run, tables, refer);
      if (isAbsolute) absolutesIn(run, memory, tables, ranges, extent, refer);
    }
    callTablesIn(run, memory, ranges, refer);
    // Some linkers put constants beside the code.
    if (tables.isFixed) pointersIn(run, tables, ranges, refer, inside);
    if (!run.isExecutable && tables.format === 'pe') relativesIn(run, tables, ranges, refer);
  }
  for (const address of tables.started) taken.add(address);
  for (const address of tables.listed) taken.add(address);
  for (const binding of tables.bindings.values()) {
    if (binding.kind === 'resolver') taken.add(binding.address);
  }
  for (const list of tables.definitions.values()) {
    for (const { kind, address } of list) if (kind === 'resolver') taken.add(address);
  }
  return {
    taken: Float64Array.from(taken).sort(),
    inside: Float64Array.from(inside).sort(),
    data: Float64Array.from(data).sort(),
  };
}

/**
 * Address computations in position-independent code.
 *
 * @param see  called with each address of the image's own, and that of the instruction that computes it
 */
export function referredBy(
  { start, bytes }: ImageRun,
  { bits, got }: ImageTables,
  see: (target: number, at: number) => void,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const last = bytes.length - 7;
  if (bits === 64) {
    // lea reg, [rip + disp32]: REX.W, 8d, ModRM with mod 0 and rm 5.
    for (let i = 0; i <= last; i++) {
      if (bytes[i + 1] !== 0x8d || (bytes[i] & 0xf8) !== 0x48 || (bytes[i + 2] & 0xc7) !== 5) {
        continue;
      }
      see(start + i + 7 + view.getInt32(i + 3, true), start + i);
    }
    return;
  }
  if (got === undefined) return;
  // lea reg, [reg + disp32]: places are counted from the global offset table.
  for (let i = 0; i + 6 <= bytes.length; i++) {
    if (bytes[i] !== 0x8d || (bytes[i + 1] & 0xc0) !== 0x80 || (bytes[i + 1] & 7) === 4) continue;
    see(got + view.getInt32(i + 2, true), start + i);
  }
}

/** So many direct calls one behind the other, outside of functions, are a table and no code. */
const fewestCallsOfTable = 8;

/**
 * Tables of functions as direct calls, which are read and never run: compilers ahead of time write them to
 * save relocations.
 *
 * @see Mono, `mono/mini/aot-compiler.c`, `method_addresses`
 */
function callTablesIn(
  { start, bytes, isExecutable }: ImageRun,
  memory: ImageMemory,
  ranges: CodeRanges,
  see: (target: number) => void,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const size = 5;
  const targetAt = (at: number): number => {
    const isCall = at + size <= bytes.length && bytes[at] === 0xe8;
    const target = isCall ? start + at + size + view.getInt32(at + 1, true) : Number.NaN;
    return memory.runAt(target) === undefined ? Number.NaN : target;
  };
  for (let i = bytes.indexOf(0xe8); i >= 0; i = bytes.indexOf(0xe8, i + 1)) {
    // First: walking on from each call of a chain would take its length squared.
    if (isExecutable && rangeAt(ranges, start + i) >= 0) continue;
    let end = i;
    while (!Number.isNaN(targetAt(end))) end += size;
    if (end - i < size * fewestCallsOfTable) continue;
    // Functions that do not exist are named by the table's own address.
    for (let at = i; at < end; at += size) if (memory.isCode(targetAt(at))) see(targetAt(at));
    i = end;
  }
}

/** Absolute addresses of functions, or of data, among the immediates and displacements of code. */
function absolutesIn(
  { bytes }: ImageRun,
  memory: ImageMemory,
  tables: ImageTables,
  ranges: CodeRanges,
  { lowest, highest }: { readonly lowest: number; readonly highest: number },
  see: (target: number) => void,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 1; i + 4 <= bytes.length; i++) {
    const target = view.getUint32(i, true) - tables.imageBase;
    if (target < lowest || target >= highest) continue;
    const before = bytes[i - 1];
    // mov reg, imm32; push imm32; or behind a ModRM byte, a SIB byte or a displacement.
    const isImmediate = (before & 0xf8) === 0xb8 || before === 0x68;
    if (!isImmediate && !isOperandBefore(bytes, i)) continue;
    // Unwind information of linkage stubs is one range for all; programs that stay where they are
    // take a stub for the function's address.
    const isInside = rangeAt(ranges, target) >= 0 && !isStart(ranges, target);
    if (isInside && slotTransferAt(memory, tables, target) === undefined) continue;
    see(target);
  }
}

/** Whether the four bytes at `at` may be the immediate or displacement of a MOV, CMP, LEA or the like. */
function isOperandBefore(bytes: Uint8Array, at: number): boolean {
  // Opcode directly before ModRM, before ModRM and SIB, or before those and displacements.
  for (const back of [2, 3, 4, 6, 7]) {
    const opcode = bytes[at - back];
    if (opcode === 0xc7 || opcode === 0x81 || opcode === 0x8d || opcode === 0x8b) return true;
    if (opcode === 0xff) return true;
  }
  return false;
}

function isStart(ranges: CodeRanges, address: number): boolean {
  return ranges.starts[rangeAt(ranges, address)] === address;
}

/**
 * Functions that a PE's data name by their distance from its base: handlers and funclets of
 * exceptions, the table of Control Flow Guard, exports. The exception directory names all functions
 * there are, and is left out.
 */
function relativesIn(
  { bytes, start }: ImageRun,
  { unwind }: ImageTables,
  ranges: CodeRanges,
  see: (target: number) => void,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const skipped = unwind ?? { address: 0, size: 0 };
  for (let i = (4 - (start % 4)) % 4; i + 4 <= bytes.length; i += 4) {
    if (start + i >= skipped.address && start + i < skipped.address + skipped.size) continue;
    const target = view.getUint32(i, true);
    if (target > 0 && isStart(ranges, target)) see(target);
  }
}

/** Words of data that hold the address of a function, in images without relocations. */
function pointersIn(
  { bytes, start }: ImageRun,
  { imageBase, bits }: ImageTables,
  ranges: CodeRanges,
  see: (target: number) => void,
  inside: Set<number>,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const word = bits / 8;
  for (let i = (word - (start % word)) % word; i + word <= bytes.length; i += word) {
    const high = bits === 64 ? view.getUint32(i + 4, true) : 0;
    if (high > 0xffff) continue;
    const target = high * 0x1_0000_0000 + view.getUint32(i, true) - imageBase;
    if (target <= 0) continue;
    if (rangeAt(ranges, target) < 0 || isStart(ranges, target)) see(target);
    else inside.add(target);
  }
}

/** Functions on each side of one that say how functions around it are referred to. */
const neighbours = 16;

/**
 * More than one in so many of them is named by nothing. Between 0 and 1 in 5 are in perl, bash, libxml2 and glibc
 * at worst; more than 1 in 4 around each built-in function of V8 that was looked at. No attack was looked at.
 */
const oneInSoMany = 4;

/**
 * Stretches of functions of which many are named by nothing that can be read: no pointer, no name, no direct
 * call or jump. Code that runs is reached somehow, so whoever reaches these has their addresses in a form of its
 * own, as V8 has those of its built-in functions in a table of lengths.
 */
export class UnreferencedCode {
  readonly #ranges: CodeRanges;
  /** By range: how many up to it, itself among them, something refers to. */
  readonly #sums: Int32Array;

  /** @param isNamed  whether a pointer or a name leads to the function that begins at an address */
  constructor(memory: ImageMemory, ranges: CodeRanges, isNamed: (start: number) => boolean) {
    this.#ranges = ranges;
    const { starts } = ranges;
    const called = calledIn(memory, ranges);
    this.#sums = new Int32Array(starts.length + 1);
    for (let i = 0; i < starts.length; i++) {
      const start = starts[i]!;
      const isReferredTo = called.has(start) || isNamed(start);
      this.#sums[i + 1] = this.#sums[i]! + (isReferredTo ? 1 : 0);
    }
  }

  /** @param index  of a range; @returns whether many functions around it are named by nothing */
  holds(index: number): boolean {
    return this.#areUnreferenced(index - neighbours, index + neighbours + 1);
  }

  /** Whether many of all functions are named by nothing. */
  get isAll(): boolean {
    return this.#areUnreferenced(0, this.#ranges.starts.length);
  }

  #areUnreferenced(first: number, end: number): boolean {
    const from = Math.max(0, first);
    const to = Math.min(this.#ranges.starts.length, end);
    const referredTo = this.#sums[to]! - this.#sums[from]!;
    const count = to - from;
    return count > neighbours && oneInSoMany * (count - referredTo) > count;
  }
}

/** Beginnings of functions that the displacement of a direct call or jump leads to, wherever one may begin. */
function calledIn(memory: ImageMemory, { starts }: CodeRanges): Set<number> {
  const all = new Set(starts);
  const called = new Set<number>();
  for (const { bytes, start, isExecutable } of memory.runs) {
    if (!isExecutable) continue;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let i = 1; i + 4 <= bytes.length; i++) {
      const opcode = bytes[i - 1]!;
      // call, jmp, and the second byte of jcc.
      if (opcode !== 0xe8 && opcode !== 0xe9 && (opcode & 0xf0) !== 0x80) continue;
      const target = start + i + 4 + view.getInt32(i, true);
      if (all.has(target)) called.add(target);
    }
  }
  return called;
}
