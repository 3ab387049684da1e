import type { Address } from '../base/address.ts';
import type { AddressSpace, Module, Section, SymbolAt } from './address-space.ts';

const pageSize = 4096;
/** Pages of made code that lie in one stretch of this size share their bytes, so that blocks may cross them. */
const arenaPages = 256;
const arenaBytes = arenaPages * pageSize;
/** Made code that is kept. */
const mostMadeBytes = 1 << 26;

/** A stretch in which code was made. */
interface Arena {
  readonly bits: 32 | 64;
  /** Address of the first byte. */
  readonly start: Address;
  /** Of the pages in which code was made, and those between them; see `roomFor`. */
  readonly bytes: Uint8Array;
  /** By page of `bytes`: 1 where code was made. */
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
  #madeBytes = 0;

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
      const address = start + at;
      const stretch = Math.floor(address / arenaBytes);
      const part = code.subarray(at, at + (stretch + 1) * arenaBytes - address);
      at += part.length;
      const arena = this.#arenaFor(stretch, address, address + part.length, bits);
      if (arena === undefined) {
        isOther = true;
        continue;
      }
      const into = address - arena.start;
      for (let page = Math.floor(into / pageSize); page * pageSize < into + part.length; page++) {
        if (arena.isMade[page] === 1) continue;
        arena.isMade[page] = 1;
        this.#fillFromFile(arena, page);
        arena.sections = sectionsOf(arena);
      }
      for (let i = 0; i < part.length; i++) {
        const old = arena.bytes[into + i];
        if (old !== part[i] && old !== 0) isOther = true;
        arena.bytes[into + i] = part[i];
      }
    }
    return isOther;
  }

  /** @returns the arena of a stretch, with room for an address range of it; `undefined` past the bounds */
  #arenaFor(stretch: number, from: Address, to: Address, bits: 32 | 64): Arena | undefined {
    const known = this.#arenas.get(stretch);
    const { start, size } = roomFor(
      Math.min(from, known?.start ?? from),
      Math.max(to, known === undefined ? to : known.start + known.bytes.length),
    );
    if (known !== undefined && size === known.bytes.length) return known;
    const added = size - (known?.bytes.length ?? 0);
    if (this.#madeBytes + added > mostMadeBytes) return undefined;
    this.#madeBytes += added;
    const bytes = new Uint8Array(size);
    const isMade = new Uint8Array(size / pageSize);
    if (known !== undefined) {
      bytes.set(known.bytes, known.start - start);
      isMade.set(known.isMade, (known.start - start) / pageSize);
    }
    const arena = { bits, start, bytes, isMade };
    const grown = { ...arena, sections: sectionsOf(arena) };
    this.#arenas.set(stretch, grown);
    return grown;
  }

  /**
   * @returns the space as it is now, for following the process from its beginning: code that was read before it was
   *   rewritten is read again
   */
  copy(): GrowingSpace {
    const other = new GrowingSpace(this.#inner);
    for (const [stretch, arena] of this.#arenas) {
      const own = { ...arena, bytes: arena.bytes.slice(), isMade: arena.isMade.slice() };
      other.#arenas.set(stretch, { ...own, sections: sectionsOf(own) });
    }
    other.#madeBytes = this.#madeBytes;
    return other;
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
    const arena = this.#arenas.get(Math.floor(address / arenaBytes));
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

/**
 * @returns the smallest range that holds an address range of a stretch, is a power of two of pages long, and aligned to
 *   that: it grows a few times only, and a page here and one there take no more than they are
 */
function roomFor(from: Address, to: Address): { readonly start: Address; readonly size: number } {
  let size = pageSize;
  while (Math.floor(from / size) !== Math.floor((to - 1) / size)) size *= 2;
  return { start: Math.floor(from / size) * size, size };
}

function sectionsOf({ start, bytes, isMade, bits }: Omit<Arena, 'sections'>): Section[] {
  const sections: Section[] = [];
  for (let page = 0; page < isMade.length; page++) {
    if (isMade[page] === 0) continue;
    let end = page + 1;
    while (end < isMade.length && isMade[end] === 1) end++;
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
