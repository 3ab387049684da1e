import type { Address } from '../base/address.ts';
import type { AddressSpace, Module, Section, SymbolAt } from './address-space.ts';

const pageSize = 4096;
/** Pages of made code that lie in one stretch of this size share its bytes, so that blocks may cross them. */
const arenaPages = 256;
const arenaBytes = arenaPages * pageSize;
/** Made code that is kept: 256 MB of address space, of which only touched pages take memory. */
const mostArenas = 256;

interface Arena {
  readonly start: Address;
  readonly bytes: Uint8Array;
  /** By page: 1 where code was made. */
  readonly isMade: Uint8Array;
  /** Of the pages that are made; neighbours are one section. */
  sections: readonly Section[];
}

/**
 * The address space of a process that still runs: files are mapped and code is made while its flow is
 * followed. Modules keep their numbers, whatever is mapped later.
 */
export class GrowingSpace implements AddressSpace {
  readonly modules: Module[] = [];
  missing: readonly string[] = [];
  flat: readonly string[] = [];
  readonly #index: Map<string, number> = new Map();
  readonly #arenas: Map<Address, Arena> = new Map();
  #inner: AddressSpace;
  /** Own module numbers, by those of the inner space. */
  #numbers: Int32Array = new Int32Array(0);
  #sections: readonly Section[] = [];
  #own: Map<Section, Section> = new Map();

  constructor(space: AddressSpace) {
    this.#inner = space;
    this.grow(space);
  }

  get sections(): readonly Section[] {
    return this.#sections;
  }

  /**
   * The process has another map now.
   *
   * @param space  made from it
   * @returns whether there is a module that was not there before
   */
  grow(space: AddressSpace): boolean {
    const before = this.modules.length;
    this.#inner = space;
    this.#numbers = Int32Array.from(space.modules, (module) => {
      const key = `${module.base} ${module.path}`;
      const known = this.#index.get(key);
      if (known !== undefined) return known;
      this.#index.set(key, this.modules.length);
      return this.modules.push(module) - 1;
    });
    this.#own = new Map(
      space.sections.map((section) => [
        section,
        { ...section, module: section.module < 0 ? -1 : this.#numbers[section.module] },
      ]),
    );
    this.#sections = [...this.#own.values()];
    this.missing = space.missing;
    this.flat = space.flat;
    return this.modules.length > before;
  }

  /**
   * Code ran that lies in no file, or not as the file has it.
   *
   * @returns whether other code had run in its place, so that blocks that are known may be wrong; and for
   *   code past the bounds, which is not kept
   */
  make(start: Address, code: Uint8Array, bits: 32 | 64): boolean {
    let isOther = false;
    for (let at = 0; at < code.length; ) {
      const arenaStart = Math.floor((start + at) / arenaBytes) * arenaBytes;
      const into = start + at - arenaStart;
      const part = code.subarray(at, at + arenaBytes - into);
      at += part.length;
      const arena = this.#arenas.get(arenaStart) ?? this.#newArena(arenaStart);
      if (arena === undefined) {
        isOther = true;
        continue;
      }
      for (let page = Math.floor(into / pageSize); page * pageSize < into + part.length; page++) {
        if (arena.isMade[page] === 1) continue;
        arena.isMade[page] = 1;
        this.#fillFromFile(arena, page);
        arena.sections = sectionsOf(arena, bits);
      }
      for (let i = 0; i < part.length; i++) {
        const old = arena.bytes[into + i];
        if (old !== part[i] && old !== 0) isOther = true;
        arena.bytes[into + i] = part[i];
      }
    }
    return isOther;
  }

  #newArena(start: Address): Arena | undefined {
    if (this.#arenas.size >= mostArenas) return undefined;
    const arena: Arena = {
      start,
      bytes: new Uint8Array(arenaBytes),
      isMade: new Uint8Array(arenaPages),
      sections: [],
    };
    this.#arenas.set(start, arena);
    return arena;
  }

  /** What a page holds beside the code that was made. */
  #fillFromFile({ start, bytes }: Arena, page: number): void {
    const address = start + page * pageSize;
    const section = this.#inner.find(address);
    if (section === undefined) return;
    const from = address - section.start;
    bytes.set(section.bytes.subarray(from, from + pageSize), page * pageSize);
  }

  #madeAt(address: Address): Section | undefined {
    if (this.#arenas.size === 0) return undefined;
    const arena = this.#arenas.get(Math.floor(address / arenaBytes) * arenaBytes);
    return arena?.sections.find(({ start, end }) => address >= start && address < end);
  }

  find(address: Address): Section | undefined {
    const made = this.#madeAt(address);
    if (made !== undefined) return made;
    const section = this.#inner.find(address);
    return section === undefined ? undefined : this.#own.get(section);
  }

  moduleAt(address: Address): number {
    if (this.#madeAt(address) !== undefined) return -1;
    const module = this.#inner.moduleAt(address);
    return module < 0 ? -1 : this.#numbers[module];
  }

  isExecutable(address: Address): boolean | undefined {
    return this.#madeAt(address) === undefined ? this.#inner.isExecutable(address) : true;
  }

  symbolAt(address: Address): SymbolAt | undefined {
    return this.#madeAt(address) === undefined ? this.#inner.symbolAt(address) : undefined;
  }

  isFunctionEntry(address: Address): boolean | undefined {
    return this.#madeAt(address) === undefined ? this.#inner.isFunctionEntry(address) : undefined;
  }
}

function sectionsOf({ start, bytes, isMade }: Arena, bits: 32 | 64): Section[] {
  const sections: Section[] = [];
  for (let page = 0; page < arenaPages; page++) {
    if (isMade[page] === 0) continue;
    let end = page + 1;
    while (end < arenaPages && isMade[end] === 1) end++;
    sections.push({
      start: start + page * pageSize,
      end: start + end * pageSize,
      bytes: bytes.subarray(page * pageSize, end * pageSize),
      module: -1,
      isExecutable: true,
      bits,
      image: bytes,
      imageOffset: page * pageSize,
    });
    page = end;
  }
  return sections;
}
