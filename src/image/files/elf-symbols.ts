import {
  type ElfSections,
  type FileBytes,
  readElfSections,
  readWord,
  textAt,
} from './elf-sections.ts';
import type { ImageSymbol } from './image.ts';

/** Hostile files list one symbol table many times over. */
const maxSymbolTables = 4;
const shtSymtab = 2;
const shtDynsym = 11;
const sttNone = 0;
const sttFunc = 2;
const sttGnuIfunc = 10;

/**
 * Reads the symbols of an ELF file that name code: those of its own table and those for the dynamic linker.
 *
 * @returns by address; empty for a file without section headers
 * @see System V ABI, "Symbol Table"
 */
export function readElfSymbols(file: FileBytes): ImageSymbol[] {
  const elf = readElfSections(file);
  if (elf === undefined) return [];
  const symbols: ImageSymbol[] = [];
  const budget = { left: nameBudget(file.size) };
  const tables = elf.sections.filter(({ type }) => type === shtSymtab || type === shtDynsym);
  for (const table of tables.slice(0, maxSymbolTables)) {
    const strings = elf.sections[table.link];
    const entry = elf.is64 ? 24 : 16;
    if (table.entrySize !== entry || strings === undefined) continue;
    const rows = file.read(table.offset, table.size);
    const names = file.read(strings.offset, strings.size);
    if (rows === undefined || names === undefined) continue;
    for (const symbol of symbolsIn(rows, names, elf, budget)) symbols.push(symbol);
  }
  return inOrder(symbols);
}

/** @param budget  characters that names may still have */
function* symbolsIn(
  rows: DataView,
  names: DataView,
  { is64 }: ElfSections,
  budget: { left: number },
): Generator<ImageSymbol> {
  const entry = is64 ? 24 : 16;
  for (let at = 0; at + entry <= rows.byteLength; at += entry) {
    const type = rows.getUint8(at + (is64 ? 4 : 12)) & 15;
    const address = readWord(rows, at + (is64 ? 8 : 4), is64);
    const definedIn = rows.getUint16(at + (is64 ? 6 : 14), true);
    // Only code: functions, and labels without a type that some section defines.
    const isCode = type === sttFunc || type === sttGnuIfunc || type === sttNone;
    if (definedIn === 0 || address === 0 || !isCode) continue;
    const name = textAt(names, rows.getUint32(at, true));
    if (name === '' || !Number.isSafeInteger(address)) continue;
    budget.left -= name.length;
    if (budget.left < 0) return;
    const size = readWord(rows, at + (is64 ? 16 : 8), is64);
    yield { address, size, name, isFunction: type !== sttNone };
  }
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
