import type { Section } from '../../../image/address-space.ts';
import { type CodeReferences, readCodeReferences, UnreferencedCode } from './code-references.ts';
import { readElfTables } from './elf-tables.ts';
import { readGoFunctions } from './go-functions.ts';
import { type ImageMemory, moduleMemory } from './image-memory.ts';
import { type Definition, firstAtLeast, type ImageTables } from './image-tables.ts';
import { areAscending, type KeptFacts } from './kept-facts.ts';
import { readPeTables } from './pe-tables.ts';
import {
  type CodeRanges,
  rangeAt,
  readElfUnwind,
  readPeUnwind,
  sortedRanges,
  type UnwindTable,
} from './unwind-table.ts';

/** What an image is read into at once. */
export interface ImageParts {
  /** Its whole file; not set for memory of which there is none. */
  readonly file?: Uint8Array | undefined;
  readonly memory: ImageMemory;
  /** The image's own address of its lowest page. */
  readonly lowest: number;
  readonly tables: ImageTables;
  readonly unwind: UnwindTable;
  /** Functions and parts of functions. */
  readonly ranges: CodeRanges;
}

const nothing: UnwindTable = {
  ranges: { starts: new Float64Array(0), ends: new Float64Array(0) },
  landingPads: new Float64Array(0),
  handlers: [],
};

/**
 * @param sections  all of one module
 * @param base  where the module's lowest page is mapped
 * @returns `undefined` for what is no ELF or PE image of x86
 */
export function readImageParts(sections: readonly Section[], base: number): ImageParts | undefined {
  const { memory, lowest, image } = moduleMemory(sections, base);
  const loaded = readElfTables(memory, lowest) ?? readPeTables(memory);
  if (loaded === undefined) return undefined;
  const { format, bits, unwind: place } = loaded;
  const read =
    place === undefined
      ? undefined
      : format === 'elf'
        ? readElfUnwind(memory, bits, place.address)
        : readPeUnwind(memory, place.address, place.size);
  const frames = read ?? nothing;
  // Symbols tell of functions that have no unwind information.
  const known: { start: number; end: number }[] = [];
  const { starts, ends } = frames.ranges;
  for (let i = 0; i < starts.length; i++) known.push({ start: starts[i], end: ends[i] });
  for (const { address, size, isFunction } of image?.symbols() ?? []) {
    const isNew = size > 0 && isFunction && rangeAt(frames.ranges, address) < 0;
    if (isNew && memory.isCode(address)) known.push({ start: address, end: address + size });
  }
  const goFunctions = readGoFunctions(memory, loaded);
  // One by one: there may be more than a call has arguments.
  for (const found of goFunctions) {
    if (rangeAt(frames.ranges, found.start) < 0) known.push(found);
  }
  const ranges = known.length === starts.length ? frames.ranges : sortedRanges(known);
  const file = image?.bytes;
  if (goFunctions.length === 0) {
    return { file, memory, lowest, tables: loaded, unwind: frames, ranges };
  }
  // Go's runtime finds all functions by their table, those of methods by no other pointer.
  const tables = { ...loaded, listed: goFunctions.map(({ start }) => start) };
  const pads = goFunctions.flatMap(({ recovery }) => (recovery === undefined ? [] : [recovery]));
  const landingPads = Float64Array.from([...frames.landingPads, ...pads]).sort();
  return { file, memory, lowest, tables, unwind: { ...frames, landingPads }, ranges };
}

/**
 * What one image's own tables and bytes say about its code. All addresses are the image's own;
 * `ProcessCode` puts them where a process has them. Parts are read when they are first asked for,
 * and take time and memory in proportion to the image.
 */
export class ImageFacts {
  readonly memory: ImageMemory;
  /** The image's own address of its lowest page. */
  readonly lowest: number;
  readonly tables: ImageTables;
  readonly unwind: UnwindTable;
  /** Functions and parts of functions. */
  readonly ranges: CodeRanges;
  readonly #file: Uint8Array | undefined;
  readonly #kept: KeptFacts | undefined;
  #definedAt: Map<number, Definition> | undefined;
  #namedAt: Map<number, string[]> | undefined;
  #references: CodeReferences | undefined;
  #lazySlots: Set<number> | undefined;
  #unreferenced: UnreferencedCode | undefined;

  /** @param kept  what was found out about images before */
  constructor({ file, memory, lowest, tables, unwind, ranges }: ImageParts, kept?: KeptFacts) {
    this.#file = file;
    this.#kept = kept;
    this.memory = memory;
    this.lowest = lowest;
    this.tables = tables;
    this.unwind = unwind;
    this.ranges = ranges;
  }

  /** What the code itself refers to. */
  get references(): CodeReferences {
    if (this.#references === undefined) {
      const make = (): readonly Float64Array[] => {
        const found = readCodeReferences(this.memory, this.tables, this.ranges);
        return [found.taken, found.inside, found.data];
      };
      const areRight = (lists: readonly Float64Array[]): boolean =>
        lists.length === 3 && lists.every(areAscending);
      const [taken, inside, data] = this.kept('references', areRight, make);
      this.#references = { taken, inside, data };
    }
    return this.#references;
  }

  /**
   * @param name  of lists of numbers that follow from the image alone
   * @param areRight  tells whether lists that were kept may be these
   * @returns what was kept of them, or else what `make` finds, which is kept then
   */
  kept(
    name: string,
    areRight: (lists: readonly Float64Array[]) => boolean,
    make: () => readonly Float64Array[],
  ): readonly Float64Array[] {
    const known = this.readKept(name);
    if (known !== undefined && areRight(known)) return known;
    const made = make();
    this.writeKept(name, made);
    return made;
  }

  /** @returns lists that were kept under a name, whatever they hold; `undefined` = none */
  readKept(name: string): readonly Float64Array[] | undefined {
    return this.#file === undefined ? undefined : this.#kept?.read(this.#file, name);
  }

  writeKept(name: string, lists: readonly Float64Array[]): void {
    if (this.#file !== undefined) this.#kept?.write(this.#file, name, lists);
  }

  /** Whether the pointers to this function are in a form that nothing here reads, as those to all around it. */
  isAmongUnreferenced(address: number): boolean {
    const index = rangeAt(this.ranges, address);
    return index >= 0 && this.#unreferencedCode.holds(index);
  }

  /**
   * Whether the image holds no pointer at all, and many of its functions are named by nothing: a runtime that loads
   * it makes all pointers by itself, also those into the middle of functions, as Dart's does.
   */
  get isWithoutPointers(): boolean {
    const { format, isFixed, pointers } = this.tables;
    if (format !== 'elf' || isFixed || pointers.places.length > 0) return false;
    return this.#unreferencedCode.isAll;
  }

  get #unreferencedCode(): UnreferencedCode {
    const { taken } = this.references;
    this.#unreferenced ??= new UnreferencedCode(
      this.memory,
      this.ranges,
      (start) => taken[firstAtLeast(taken, start)] === start || this.definedAt(start) !== undefined,
    );
    return this.#unreferenced;
  }

  /** The functions that the image gives to others. */
  *definitions(): Generator<Definition> {
    for (const list of this.tables.definitions.values()) {
      for (const definition of list) {
        const isFunction = definition.kind !== 'data' && definition.forwarder === undefined;
        if (isFunction && this.memory.isCode(definition.address)) yield definition;
      }
    }
  }

  /** @returns the function that the image gives to others at this address */
  definedAt(address: number): Definition | undefined {
    if (this.#definedAt === undefined) {
      this.#definedAt = new Map();
      for (const definition of this.definitions()) {
        this.#definedAt.set(definition.address, definition);
      }
    }
    return this.#definedAt.get(address);
  }

  /** @returns names of the functions that the image gives to others at this address */
  namesAt(address: number): readonly string[] {
    if (this.#namedAt === undefined) {
      this.#namedAt = new Map();
      for (const [name, list] of this.tables.definitions) {
        for (const { address: at, kind } of list) {
          if (kind === 'data') continue;
          const names = this.#namedAt.get(at);
          if (names === undefined) this.#namedAt.set(at, [name]);
          else names.push(name);
        }
      }
    }
    return this.#namedAt.get(address) ?? [];
  }

  /** @returns the range with this address, or `undefined` outside every one */
  rangeAt(address: number): { readonly start: number; readonly end: number } | undefined {
    const index = rangeAt(this.ranges, address);
    if (index < 0) return undefined;
    return { start: this.ranges.starts[index], end: this.ranges.ends[index] };
  }

  isLandingPad(address: number): boolean {
    const { landingPads } = this.unwind;
    return landingPads[firstAtLeast(landingPads, address)] === address;
  }

  /** @returns whether the slot at this place is bound when it is first used */
  isLazy(place: number): boolean {
    this.#lazySlots ??= new Set(this.tables.lazySlots);
    return this.#lazySlots.has(place);
  }

  /** @returns whether the program itself cannot write to a place, once the loader is done with it */
  isReadOnly(place: number): boolean {
    const { readOnly, writable } = this.tables;
    const holds = ({ start, end }: { start: number; end: number }): boolean =>
      place >= start && place < end;
    return (
      readOnly.some(holds) || (!writable.some(holds) && this.memory.runAt(place) !== undefined)
    );
  }
}
