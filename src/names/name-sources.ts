import { bytesOf, readElfSections } from '../image/files/elf-sections.ts';
import { readElfSymbols } from '../image/files/elf-symbols.ts';
import type { Image, ImageSymbol } from '../image/files/image.ts';
import { findDebugFile, withFile } from './debug-file.ts';
import { readMiniDebugInfo } from './mini-debug-info.ts';
import { SymbolTable } from './symbol-table.ts';

/** What is known of the names of one image beside its own symbols. */
export interface ImageNames {
  readonly symbols: SymbolTable;
  /** File that says which line of source made which code. */
  readonly lines: string | undefined;
}

export interface NameSourceOptions {
  /** Folders of debug files; see `findDebugFile`. */
  readonly debugDirs: readonly string[];
  /** Where programs that read lines of source are looked for, as `PATH`; `undefined` = none is run. */
  readonly search?: string | undefined;
}

/**
 * Where the names of images come from: their symbols, MiniDebugInfo, and separate debug files. They are for
 * people alone: a verdict must not depend on which debug files a machine has.
 */
export class NameSources {
  /** See `NameSourceOptions`. */
  readonly search: string | undefined;
  readonly #debugDirs: readonly string[];
  readonly #images: WeakMap<Image, Promise<ImageNames>> = new WeakMap();

  constructor({ debugDirs, search }: NameSourceOptions = { debugDirs: [] }) {
    this.#debugDirs = debugDirs;
    this.search = search;
  }

  /**
   * @param mapped  path of the image in the traced process
   * @returns the same names for the same image
   */
  namesOf(image: Image, mapped: string): Promise<ImageNames> {
    let names = this.#images.get(image);
    if (names === undefined) {
      names = this.#read(image, mapped);
      this.#images.set(image, names);
    }
    return names;
  }

  async #read(image: Image, mapped: string): Promise<ImageNames> {
    const tableOf = (symbols: readonly ImageSymbol[]): SymbolTable =>
      new SymbolTable(symbols.filter(({ address }) => isCode(image, address)));
    const own = image.symbols();
    if (image.kind !== 'elf') return { symbols: tableOf(own), lines: undefined };
    const debugFile = findDebugFile(image, mapped, this.#debugDirs);
    const debug = debugFile === undefined ? undefined : withFile(debugFile, readElfSymbols);
    const all = own.concat(await readMiniDebugInfo(image.bytes), debug ?? []);
    const lines = hasLines(image.bytes) ? image.path : debugFile;
    return { symbols: tableOf(all), lines };
  }
}

/** Labels without a type name data, too. */
function isCode({ segments }: Image, address: number): boolean {
  return segments.some(
    ({ isExecutable, address: start, length }) =>
      isExecutable && address >= start && address < start + length,
  );
}

function hasLines(bytes: Uint8Array): boolean {
  const { sections = [] } = readElfSections(bytesOf(bytes)) ?? {};
  return sections.some(({ name }) => name === '.debug_line' || name === '.zdebug_line');
}
