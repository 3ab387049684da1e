import type { ImageMemory, ImageRun } from './image-memory.ts';
import { type ImageTables, pointerAt } from './image-tables.ts';

/** What a Go program says of one of its functions. */
export interface GoFunction {
  readonly start: number;
  /** First address behind it. */
  readonly end: number;
  /** Where it goes on when a panic was recovered from; `undefined` where it defers nothing. */
  readonly recovery: number | undefined;
}

/** A program has no more functions; hostile tables say so, and there may be many of them. */
const mostFunctions = 1 << 22;

/** First words of the table, by the release of Go that made them, and what stands behind the header. */
const layouts: ReadonlyMap<number, 'direct' | 'pointers' | 'offsets'> = new Map([
  // Go 1.2 to 1.15: the list of functions follows the count.
  [0xfffffffb, 'direct'],
  // Go 1.16 and 1.17: it stands where the header says, and holds addresses.
  [0xfffffffa, 'pointers'],
  // Go 1.18, Go 1.20: it holds distances from the first function, of four bytes.
  [0xfffffff0, 'offsets'],
  [0xfffffff1, 'offsets'],
]);

/**
 * Functions of a Go program, stripped or not: its runtime needs the table to walk stacks.
 *
 * @returns in ascending order; empty where there is no such table, or it is damaged
 * @see Go, `src/runtime/symtab.go`, `pcHeader`, `src/runtime/runtime2.go`, `_func`, and
 *   `src/debug/gosym/pclntab.go`
 */
export function readGoFunctions(
  memory: ImageMemory,
  tables: Pick<ImageTables, 'bits' | 'pointers'>,
): readonly GoFunction[] {
  const budget = { entries: mostFunctions };
  for (const run of memory.runs) {
    // Where the table is relocated, it lies beside data that the program may write.
    if (run.isExecutable) continue;
    for (const at of headersIn(run, tables.bits)) {
      const found = readTable(memory, tables, at, budget);
      if (found.length > 0) return found;
    }
  }
  return [];
}

/** Places that begin as the table does: its first word, two zeros, the size of instructions, that of pointers. */
function* headersIn({ bytes, start }: ImageRun, bits: 32 | 64): Generator<number> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const rest = Buffer.from([0xff, 0xff, 0xff, 0, 0, 1, bits / 8]);
  for (let i = buffer.indexOf(rest); i >= 0; i = buffer.indexOf(rest, i + 1)) {
    if (i > 0) yield start + i - 1;
  }
}

function readTable(
  memory: ImageMemory,
  { bits, pointers }: Pick<ImageTables, 'bits' | 'pointers'>,
  at: number,
  budget: { entries: number },
): GoFunction[] {
  const size = bits / 8;
  const field = (index: number): number => memory.word(at + 8 + size * index, bits) ?? 0;
  const layout = layouts.get(memory.uint32(at) ?? 0);
  const count = field(0);
  if (layout === undefined || count === 0 || count > budget.entries) return [];
  // The number of functions, that of files, where code begins, and distances of tables; the last is ours.
  const isOffsets = layout === 'offsets';
  const list = layout === 'direct' ? at + 8 + size : at + field(isOffsets ? 7 : 6);
  const place = at + 8 + size * 2;
  const text = isOffsets ? (pointerAt(pointers, place) ?? field(2)) : 0;
  const entrySize = isOffsets ? 4 : size;
  const entryAt = (index: number): number => {
    const entry = list + 2 * entrySize * index;
    const value = isOffsets ? memory.uint32(entry) : memory.word(entry, bits);
    return isOffsets ? text + (value ?? Number.NaN) : (pointerAt(pointers, entry) ?? value ?? 0);
  };
  // Of each function: its address, its name and the size of its arguments, four bytes each, and the distance.
  const descriptions = layout === 'direct' ? at : list;
  const recoveryAt = (index: number, start: number): number | undefined => {
    const distance = memory.word(list + entrySize * (2 * index + 1), isOffsets ? 32 : bits);
    const skipped = (isOffsets ? 4 : size) + 8;
    const found = memory.uint32(descriptions + (distance ?? Number.NaN) + skipped) ?? 0;
    return found === 0 ? undefined : start + found;
  };
  const functions: GoFunction[] = [];
  for (let i = 0, start = entryAt(0), end = 0; i < count; i++, start = end) {
    budget.entries--;
    end = entryAt(i + 1);
    if (!(end > start) || !memory.isCode(start)) return [];
    functions.push({ start, end, recovery: recoveryAt(i, start) });
  }
  return functions;
}
