import { enlarged } from '../base/bytes/typed-array.ts';
import { assert } from '../base/errors.ts';
import type { BlockTable } from '../flow/blocks.ts';
import { callName } from './calls/name.ts';

/** Symbols that a table has room for at first. */
const firstRoom = 512;

/** A symbol: a basic block of the corpus, the same in every trace, wherever its image was mapped. */
export type SymbolId = number;

/**
 * The symbols of a corpus, numbered from 0 in the order of their first appearance.
 *
 * A block is named by its module and its offset in it, so that address space layout does not
 * matter. Other sources (API calls, plain integers) name symbols by a `module` of their own kind
 * and a number.
 */
export class SymbolTable {
  readonly #moduleIndex: Map<string, number> = new Map();
  readonly modules: string[] = [];
  /** Memory-map path of a module, for the ancestor's ids; the first one seen. */
  readonly paths: string[] = [];
  /** Upper half of the ancestor's ids of a module's blocks; the first one that a trace brought. */
  readonly checksums: (number | undefined)[] = [];
  readonly #symbolsOfModule: Map<number, SymbolId>[] = [];
  length = 0;
  module: Int32Array<ArrayBuffer> = new Int32Array(firstRoom);
  offset: Float64Array<ArrayBuffer> = new Float64Array(firstRoom);

  internModule(name: string, path: string, checksum?: number): number {
    const known = this.#moduleIndex.get(name);
    if (known !== undefined) {
      this.checksums[known] ??= checksum;
      return known;
    }
    const index = this.modules.length;
    this.#moduleIndex.set(name, index);
    this.modules.push(name);
    this.paths.push(path);
    this.checksums.push(checksum);
    this.#symbolsOfModule.push(new Map());
    return index;
  }

  intern(module: number, offset: number): SymbolId {
    const symbols = this.#symbolsOfModule[module];
    assert(symbols !== undefined, `module ${module} is not in the symbol table`);
    const known = symbols.get(offset);
    if (known !== undefined) return known;
    const id = this.length++;
    if (id === this.module.length) this.#grow();
    this.module[id] = module;
    this.offset[id] = offset;
    symbols.set(offset, id);
    return id;
  }

  /** @returns the symbol, or -1 when it was never interned */
  find(name: string, offset: number): SymbolId {
    const module = this.#moduleIndex.get(name);
    if (module === undefined) return -1;
    return this.#symbolsOfModule[module]?.get(offset) ?? -1;
  }

  describe(id: SymbolId): string {
    return describeSymbol(this.modules[this.module[id]], this.offset[id]);
  }

  #grow(): void {
    this.module = enlarged(this.module, this.module.length * 2);
    this.offset = enlarged(this.offset, this.offset.length * 2);
  }
}

/** @returns `module+0x12ab`, or the name of a call */
export function describeSymbol(module: string, offset: number): string {
  const digits = offset < 0 ? `-0x${(-offset).toString(16)}` : `+0x${offset.toString(16)}`;
  return callName(module, offset) ?? `${module || '(unnamed)'}${digits}`;
}

/** Name of the module of the symbol that stands before the first block of a thread. */
export const threadStart = '(start)';

/** Name of the module of code outside every image. */
export const outsideImages = '(outside images)';

/** From the block ids of one trace to symbols; grows with the trace's table. */
export class TraceSymbols {
  readonly #table: SymbolTable;
  readonly #blocks: BlockTable;
  #modules: Int32Array = new Int32Array(0);
  /** Symbol by block id, valid below `length`. */
  symbols: Int32Array<ArrayBuffer> = new Int32Array(4096);
  length = 0;

  constructor(table: SymbolTable, blocks: BlockTable) {
    this.#table = table;
    this.#blocks = blocks;
  }

  /** Takes in the blocks that the table got since the last call. */
  extend(): void {
    const { length, module, offset, modules } = this.#blocks;
    if (this.length === length) return;
    if (this.#modules.length < modules.length) {
      this.#modules = Int32Array.from(modules, ({ name, path, checksum }) =>
        this.#table.internModule(name, path, checksum),
      );
    }
    if (length > this.symbols.length) {
      this.symbols = enlarged(this.symbols, Math.max(length, this.symbols.length * 2));
    }
    for (let id = this.length; id < length; id++) {
      const index = module[id];
      const known =
        index < 0
          ? this.#table.internModule(outsideImages, outsideImages)
          : (this.#modules[index] ?? 0);
      this.symbols[id] = this.#table.intern(known, offset[id]);
    }
    this.length = length;
  }
}
