import type { Address } from '../../base/address.ts';
import type { AddressSpace } from '../../image/address-space.ts';
import { ImageCode } from './image-code.ts';
import { referredBy } from './tables/code-references.ts';
import { sectionsByModule } from './tables/image-memory.ts';
import { type Binding, firstAtLeast, pointerAt } from './tables/image-tables.ts';
import type { KeptFacts } from './tables/kept-facts.ts';
import { bytesBetween, lazySlotAt, slotTransferAt } from './tables/linkage.ts';

export type { KeptFacts } from './tables/kept-facts.ts';

/** What images say, kept for all processes that map them: by the image's identity. */
export class ImageCodeCache {
  readonly #images: WeakMap<object, ImageCode | null> = new WeakMap();
  readonly #numbers: WeakMap<object, number> = new WeakMap();
  #numbered = 0;
  /** The first process of each set of images, the one asked for last behind. */
  readonly #firsts: Map<string, ProcessCode> = new Map();
  /** What was found out about images in other processes. */
  readonly kept: KeptFacts | undefined;
  readonly #toKeep: ImageCode[] = [];

  readonly #mostFirsts: number;

  /**
   * @param mostFirsts  sets of images that are kept: a corpus has few, as a program loads the same ones each time
   */
  constructor(kept?: KeptFacts, mostFirsts = 16) {
    this.kept = kept;
    this.#mostFirsts = mostFirsts;
  }

  /** @returns what `read` returned for this image the first time */
  get(image: object, read: () => ImageCode | undefined): ImageCode | undefined {
    let code = this.#images.get(image);
    if (code === undefined) {
      code = read() ?? null;
      this.#images.set(image, code);
      if (code !== null && this.kept !== undefined) this.#toKeep.push(code);
    }
    return code ?? undefined;
  }

  /** Keeps what was found out about all images for other processes, where somebody does that. */
  keep(): void {
    for (const code of this.#toKeep) code.keep();
  }

  /**
   * @returns the first process that mapped the same images in the same order, each with the same parts of it;
   *   they may have lain elsewhere
   */
  firstLike(process: ProcessCode): ProcessCode {
    const key = this.#imagesOf(process.space);
    const first = this.#firsts.get(key) ?? process;
    this.#firsts.delete(key);
    this.#firsts.set(key, first);
    for (const oldest of this.#firsts.keys()) {
      if (this.#firsts.size <= this.#mostFirsts) break;
      this.#firsts.delete(oldest);
    }
    return first;
  }

  #imagesOf(space: AddressSpace): string {
    const lists = sectionsByModule(space);
    const texts = space.modules.map(({ base, name }, module) => {
      const parts = lists[module].map(
        ({ start, end, image, imageOffset, isExecutable }) =>
          `${start - base} ${end - start} ${imageOffset} ${isExecutable} ${this.#numberOf(image)}`,
      );
      return `${name}\0${parts.join()}`;
    });
    return texts.join('\0\0');
  }

  #numberOf(image: object): number {
    let number = this.#numbers.get(image);
    if (number === undefined) {
      number = this.#numbered++;
      this.#numbers.set(image, number);
    }
    return number;
  }
}

/** First address and first address behind. */
export interface AddressRange {
  readonly start: Address;
  readonly end: Address;
}

/** A module of a process whose image is there. */
export interface KnownImage {
  readonly module: number;
  readonly code: ImageCode;
  /** Process address minus the image's own. */
  readonly bias: number;
}

/** An address of the process in its image. */
export interface Place {
  readonly module: number;
  readonly code: ImageCode;
  /** The image's own address. */
  readonly own: number;
  /** Process address minus the image's own. */
  readonly bias: number;
}

const longestResolver = 1024;

/**
 * What the images of one process say about addresses in it. `undefined` always means: the images
 * do not say, because one is missing, is no ELF or PE of x86, or has no table that tells. Nothing
 * is guessed.
 */
export class ProcessCode {
  readonly space: AddressSpace;
  readonly #cache: ImageCodeCache;
  readonly #codes: (ImageCode | undefined)[] = [];
  readonly #biases: number[] = [];
  /**
   * The images of which something is known, in the order of their modules: a process that loads libraries for ever has
   * thousands of modules that are gone.
   */
  readonly known: readonly KnownImage[];
  #binderEntries: Address[] | undefined;
  readonly #resolved: Map<string, readonly Address[]> = new Map();

  constructor(space: AddressSpace, cache: ImageCodeCache = new ImageCodeCache()) {
    this.space = space;
    this.#cache = cache;
    for (const [module, sections] of sectionsByModule(space).entries()) {
      const { base } = space.modules[module];
      const image = sections[0]?.image;
      const code =
        image === undefined
          ? undefined
          : cache.get(image, () => ImageCode.read(sections, base, cache.kept));
      this.#codes.push(code);
      this.#biases.push(base - (code?.lowest ?? 0));
    }
    this.known = this.#codes.flatMap((code, module) =>
      code === undefined ? [] : [{ module, code, bias: this.#biases[module] }],
    );
  }

  /** What holds for its images wherever they lie is asked of the first process that mapped them. */
  get firstWithTheseImages(): ProcessCode {
    return this.#cache.firstLike(this);
  }

  /** What is known of each module's image, in the order of `space.modules`. */
  get images(): readonly (ImageCode | undefined)[] {
    return this.#codes;
  }

  /** What the image of a module says; `undefined` where there is none. */
  imageOf(module: number): { readonly code: ImageCode; readonly bias: number } | undefined {
    const code = this.#codes[module];
    return code === undefined ? undefined : { code, bias: this.#biases[module] };
  }

  place(address: Address): Place | undefined {
    const module = this.space.moduleAt(address);
    const code = module < 0 ? undefined : this.#codes[module];
    if (code === undefined) return undefined;
    const bias = this.#biases[module];
    return { module, code, own: address - bias, bias };
  }

  /**
   * @returns the range of code with unwind information, or of a sized symbol, that holds
   *   `address`: a function, or a part of one that stands apart; `undefined` outside every range
   */
  functionRange(address: Address): AddressRange | undefined {
    const place = this.place(address);
    const range = place?.code.rangeAt(place.own);
    if (place === undefined || range === undefined) return undefined;
    return { start: range.start + place.bias, end: range.end + place.bias };
  }

  /**
   * Whether code may be entered here from elsewhere: where a range begins, something points to, a
   * name leads to, a linkage stub or a personality routine stands.
   *
   * @returns false inside a known range; `undefined` outside every one
   */
  isFunctionEntry(address: Address): boolean | undefined {
    const place = this.place(address);
    if (place === undefined) return this.space.isFunctionEntry(address);
    const { code, own } = place;
    const range = code.rangeAt(own);
    if (range?.start === own) return true;
    if (code.definedAt(own) !== undefined || this.isTaken(address) === true) return true;
    if (this.stubTargets(address) !== undefined || this.#isLazyStub(place)) return true;
    return range === undefined ? undefined : false;
  }

  /**
   * Whether an instruction begins here when those of the function around it are read from its
   * start.
   *
   * @returns `undefined` outside every known range
   */
  isInstructionStart(address: Address): boolean | undefined {
    const place = this.place(address);
    if (place === undefined || place.code.rangeAt(place.own) === undefined) return undefined;
    const found = place.code.sites.flowAt(place.own);
    return found === undefined ? undefined : found.flow.indexAt(place.own - found.start) >= 0;
  }

  /** @returns whether the image has code at this address; `undefined` where there is no image */
  isCode(address: Address): boolean | undefined {
    const place = this.place(address);
    return place?.code.memory.isCode(place.own);
  }

  /**
   * @returns whether a pointer to this place exists in the image, or the system starts it by itself;
   *   `undefined` where the image does not tell its pointers, as a dump without its relocations
   */
  isTaken(address: Address): boolean | undefined {
    const place = this.place(address);
    if (place === undefined) return undefined;
    const { code, own } = place;
    const { taken } = code.references;
    if (taken[firstAtLeast(taken, own)] === own || code.unwind.handlers.includes(own)) return true;
    if (this.isPointedToByName(address)) return true;
    const { isFixed, pointers } = code.tables;
    return !isFixed && pointers.places.length === 0 ? undefined : false;
  }

  /** @returns whether pointers to this function and those around it are in a form that is not read */
  isAmongUnreferenced(address: Address): boolean {
    const place = this.place(address);
    return place?.code.isAmongUnreferenced(place.own) === true;
  }

  /** @returns whether whoever loads the image makes the pointers into it, of which it holds none */
  isWithoutPointers(address: Address): boolean {
    return this.place(address)?.code.isWithoutPointers === true;
  }

  /** @returns whether an image, its own or another, holds a pointer to this place by its name */
  isPointedToByName(address: Address): boolean {
    const names = this.exportedNames(address);
    if (names.length === 0) return false;
    return this.known.some(({ code }) => {
      const { namedPointers } = code.pointerTargets;
      return names.some((name) => namedPointers.has(name));
    });
  }

  /** @returns the format of the image that holds this address */
  formatAt(address: Address): 'elf' | 'pe' | undefined {
    return this.place(address)?.code.tables.format;
  }

  /**
   * Whether the image lists all functions but leaves, which call nothing and move no stack: the
   * unwinder of 64-bit Windows wants it so. What code outside of every range jumps to is then no
   * part of its own function, unless it is outside, too.
   *
   * @see Microsoft, "x64 exception handling": "Table-based exception handling requires a table entry
   *   for all functions that allocate stack space or call another function"
   */
  listsAllFunctions(address: Address): boolean {
    const tables = this.place(address)?.code.tables;
    return tables?.format === 'pe' && tables.bits === 64 && tables.unwind !== undefined;
  }

  /** @returns names under which other images find the function that begins here */
  exportedNames(address: Address): readonly string[] {
    const place = this.place(address);
    return place === undefined ? [] : place.code.namesAt(place.own);
  }

  /** @returns whether the unwinder goes here to catch an exception or to clean up behind one */
  isLandingPad(address: Address): boolean | undefined {
    const place = this.place(address);
    return place?.code.isLandingPad(place.own);
  }

  /**
   * Where a linkage stub that begins at `address` leads: the transfer through a fixed slot there,
   * behind an optional ENDBR.
   */
  stubTargets(address: Address): readonly Address[] | undefined {
    const place = this.place(address);
    if (place === undefined) return undefined;
    const endbr = place.code.memory.uint32(place.own);
    const isMarked = endbr === 0xfa1e0ff3 || endbr === 0xfb1e0ff3;
    return this.slotTargets(isMarked ? address + 4 : address);
  }

  /**
   * Where an indirect call or jump through a fixed slot leads, when the loader fills the slot and
   * the program does not: by name, by an indirect function's resolver, or with a place of the
   * image itself. Until it is bound, a lazily bound slot leads back into its own stub.
   *
   * @param site  address of the instruction
   * @returns every function that the loader may have put there; `undefined` for other
   *   instructions, and where nothing that is mapped defines the name
   */
  slotTargets(site: Address): readonly Address[] | undefined {
    const place = this.place(site);
    if (place === undefined) return undefined;
    const { code, own, bias } = place;
    const transfer = slotTransferAt(code.memory, code.tables, own);
    return transfer === undefined ? undefined : this.slotValues(place.module, transfer.slot + bias);
  }

  /** @param slot  process address of the slot; @returns see `slotTargets` */
  slotValues(module: number, slot: Address): readonly Address[] | undefined {
    const image = this.imageOf(module);
    if (image === undefined) return undefined;
    const { code, bias } = image;
    const own = slot - bias;
    if (code.tables.got !== undefined && own === code.tables.got + code.tables.bits / 4) {
      return this.#binders();
    }
    const binding = code.tables.bindings.get(own);
    if (binding === undefined) {
      const target = pointerAt(code.tables.pointers, own);
      const isFinal = code.isReadOnly(own) && target !== undefined && code.memory.isCode(target);
      return isFinal ? [target + bias] : undefined;
    }
    const bound = this.resolve(module, binding);
    if (bound === undefined) return undefined;
    if (!code.isLazy(own)) return bound;
    const first = code.memory.word(own, code.tables.bits);
    const isOwn = first !== undefined && code.memory.isCode(first);
    return isOwn ? [...bound, first + bias] : bound;
  }

  /**
   * What the dynamic linker is about to bind: the part of a linkage stub that begins here asks it
   * to.
   *
   * @param address  start of the block that pushes the relocation's number
   * @returns the functions that the relocation may name
   */
  lazyBinding(address: Address): readonly Address[] | undefined {
    const place = this.place(address);
    if (place === undefined) return undefined;
    const { code, own, module } = place;
    const slot = lazySlotAt(code.memory, code.tables, own);
    const binding = slot === undefined ? undefined : code.tables.bindings.get(slot);
    return binding === undefined ? undefined : this.resolve(module, binding);
  }

  /** @returns whether a jump table, or what the instructions before a transfer compute, names its target */
  namesTarget(site: Address, target: Address): boolean {
    const place = this.place(site);
    if (place === undefined || !place.code.memory.isCode(place.own)) return false;
    const { targets } = place.code.sites.at(place.own);
    const own = target - place.bias;
    return targets[firstAtLeast(targets, own)] === own;
  }

  /** Routines that bind functions when they are first called; stubs of every image lead there. */
  #binders(): readonly Address[] | undefined {
    if (this.#binderEntries === undefined) {
      this.#binderEntries = [];
      for (const { code, bias } of this.known) {
        for (const jump of code.binderJumps) {
          const range = code.rangeAt(jump);
          if (range !== undefined) this.#binderEntries.push(range.start + bias);
        }
      }
    }
    return this.#binderEntries.length === 0 ? undefined : this.#binderEntries;
  }

  /** @returns whether the instruction at `site` is the dynamic linker's jump to what it has bound */
  isBinderJump(site: Address): boolean {
    const place = this.place(site);
    return place?.code.binderJumps.includes(place.own) === true;
  }

  #isLazyStub({ code, own }: Place): boolean {
    return lazySlotAt(code.memory, code.tables, own) !== undefined;
  }

  /**
   * @param module  that asks
   * @returns the functions that the loader may bind, in any of the mapped images that define the
   *   name with the version asked for: which one comes first is not known from a map
   */
  resolve(module: number, binding: Binding): readonly Address[] | undefined {
    const key =
      binding.kind === 'resolver'
        ? `${module} ${binding.address}`
        : `${binding.name}@${binding.version ?? ''}`;
    let found = this.#resolved.get(key);
    if (found === undefined) {
      found = [
        ...new Set(
          binding.kind === 'resolver'
            ? this.#resolvedBy(module, binding.address)
            : this.#named(binding.name, binding.version, 0),
        ),
      ];
      this.#resolved.set(key, found);
    }
    return found.length === 0 ? undefined : found;
  }

  #named(name: string, version: string | undefined, depth: number): Address[] {
    const found: Address[] = [];
    for (const { module, code, bias } of this.known) {
      for (const definition of code.tables.definitions.get(name) ?? []) {
        const isOther =
          version !== undefined &&
          definition.version !== undefined &&
          version !== definition.version;
        if (isOther || definition.kind === 'data') continue;
        if (definition.forwarder !== undefined) {
          const inner = definition.forwarder.split('.').at(-1);
          if (inner !== undefined && depth < 8)
            found.push(...this.#named(inner, version, depth + 1));
        } else if (definition.kind === 'resolver') {
          found.push(...this.#resolvedBy(module, definition.address));
        } else found.push(definition.address + bias);
      }
    }
    return found;
  }

  /** The functions whose address an indirect function's resolver computes or loads. */
  #resolvedBy(module: number, resolver: number): Address[] {
    const code = this.#codes[module];
    if (code === undefined) return [];
    const bias = this.#biases[module];
    const range = code.rangeAt(resolver);
    const body = bytesBetween(code.memory, resolver, range?.end ?? resolver + longestResolver);
    if (body === undefined) return [];
    const found: Address[] = [];
    referredBy(body, code.tables, (target) => {
      if (code.memory.isCode(target)) found.push(target + bias);
    });
    return found;
  }
}
