import type { Address } from '../base/address.ts';
import type { AddressSpace, Section } from '../image/address-space.ts';
import { BlockReader, type BlockShape, emptyShape } from '../x86/block-reader.ts';
import { type ImageBytes, type ImageFunctions, readImageFunctions } from './elf-functions.ts';

/** Facts about images, kept for all traces that map them. */
export class CodeFactsCache {
  readonly functions: WeakMap<object, ImageFunctions | null> = new WeakMap();
  /** Whether instructions start at these offsets of the images. */
  readonly instructionStarts: WeakMap<object, Map<number, boolean>> = new WeakMap();
}

/** How a function can be reached without a direct call. */
export type Reachability =
  /** A pointer to it exists. */
  | 'referenced'
  /** Only by name: the dynamic linker or `dlsym` may find it. */
  | 'exported'
  | 'unreferenced';

/**
 * What the images of a process say about addresses in it. Every question has the answer
 * `undefined`: the image does not say (other formats than 64-bit ELF, stripped unwind tables,
 * files that are missing).
 */
export class CodeFacts {
  readonly #space: AddressSpace;
  readonly #cache: CodeFactsCache;
  /** By module; `null` = looked for and not there. */
  readonly #functions: (ImageFunctions | null | undefined)[] = [];
  readonly #imports: Set<string> = new Set();
  readonly #namedSlots: Map<string, number[]> = new Map();
  /** Image address = process address - this, by module. */
  readonly #bias: number[] = [];

  constructor(space: AddressSpace, cache: CodeFactsCache = new CodeFactsCache()) {
    this.#space = space;
    this.#cache = cache;
    for (let module = 0; module < space.modules.length; module++) {
      const functions = this.#load(module);
      this.#functions.push(functions);
      for (const name of functions?.imports ?? []) this.#imports.add(name);
      for (const [name, slots] of functions?.namedSlots ?? []) {
        this.#namedSlots.set(name, [...(this.#namedSlots.get(name) ?? []), ...slots]);
      }
    }
  }

  #load(module: number): ImageFunctions | null {
    const sections = this.#space.sections.filter((section) => section.module === module);
    const { base } = this.#space.modules[module];
    const image = sections[0]?.image;
    let functions = image === undefined ? null : this.#cache.functions.get(image);
    if (image !== undefined && functions === undefined) {
      const runs = sections.map(
        (section): ImageBytes => ({
          offset: section.start - base,
          bytes: section.bytes,
          isExecutable: section.isExecutable,
        }),
      );
      functions = readImageFunctions(runs) ?? null;
      this.#cache.functions.set(image, functions);
    }
    this.#bias.push(base - (functions?.lowest ?? 0));
    return functions ?? null;
  }

  #lookUp(address: Address): { functions: ImageFunctions; at: number } | undefined {
    const module = this.#space.moduleAt(address);
    const functions = module < 0 ? undefined : this.#functions[module];
    if (functions === undefined || functions === null) return undefined;
    return { functions, at: address - this.#bias[module] };
  }

  /** @returns the start of the code range with unwind information that holds, or precedes, `address` */
  functionStart(address: Address): Address | undefined {
    const found = this.#lookUp(address);
    if (found === undefined) return undefined;
    const { starts } = found.functions;
    const index = countUpTo(starts, found.at) - 1;
    return index < 0 ? undefined : starts[index] + (address - found.at);
  }

  isFunctionEntry(address: Address): boolean | undefined {
    const found = this.#lookUp(address);
    if (found === undefined) return this.#space.isFunctionEntry(address);
    const { functions, at } = found;
    const { starts, exported, referenced, stubs } = functions;
    const index = countUpTo(starts, at) - 1;
    if (index >= 0 && starts[index] === at) return true;
    if (exported.has(at) || referenced.has(at)) return true;
    return stubs !== undefined && at >= stubs.start && at < stubs.end && at % 16 === 0;
  }

  reachability(address: Address): Reachability | undefined {
    const found = this.#lookUp(address);
    if (found === undefined) return undefined;
    const { functions, at } = found;
    if (functions.referenced.has(at)) return 'referenced';
    const names = functions.exported.get(at);
    if (names === undefined) return 'unreferenced';
    return names.some((name) => this.#imports.has(name)) ? 'referenced' : 'exported';
  }

  /**
   * @returns whether some table of function pointers, such as a virtual table, holds the function
   *   at this position
   */
  hasSlot(address: Address, slot: number): boolean | undefined {
    const found = this.#lookUp(address);
    if (found === undefined) return undefined;
    const { functions, at } = found;
    if (functions.slots.get(at)?.includes(slot) === true) return true;
    const names = functions.exported.get(at) ?? [];
    return names.some((name) => this.#namedSlots.get(name)?.includes(slot) === true);
  }

  /** @returns the address of an offset in a module, by the module's name */
  addressIn(module: string, offset: number): Address | undefined {
    const found = this.#space.modules.find(({ name }) => name === module);
    return found === undefined ? undefined : found.base + offset;
  }

  /**
   * Whether a table of the image leads from one place of a function to another: `switch` tables
   * hold 32-bit distances from their own start.
   */
  isSwitchTarget(site: Address, target: Address): boolean {
    const found = this.#lookUp(site);
    const start = this.functionStart(site);
    if (found === undefined || start === undefined) return false;
    const module = this.#space.moduleAt(site);
    const bias = this.#bias[module];
    const wanted = target - bias;
    for (const table of found.functions.tables) {
      const section = this.#space.find(table + bias);
      if (section === undefined || section.isExecutable) continue;
      const at = table + bias - section.start;
      const view = new DataView(
        section.bytes.buffer,
        section.bytes.byteOffset,
        section.bytes.length,
      );
      // Tables follow each other: entries count while they lead into code of the same module.
      for (let i = at; i + 4 <= view.byteLength && i < at + 4096; i += 4) {
        const to = table + view.getInt32(i, true);
        if (to === wanted) return true;
        const code = this.#space.find(to + bias);
        if (code === undefined || !code.isExecutable) break;
      }
    }
    return false;
  }

  /**
   * Whether an instruction starts at `address` when the function around it is read from its start.
   * Compilers put no data between instructions; hand-written code rarely does.
   */
  isInstructionStart(address: Address): boolean | undefined {
    const start = this.functionStart(address);
    const section = this.#space.find(address);
    if (start === undefined || section === undefined || start < section.start) return undefined;
    const offset = address - section.start + section.imageOffset;
    let known = this.#cache.instructionStarts.get(section.image);
    if (known === undefined) {
      known = new Map();
      this.#cache.instructionStarts.set(section.image, known);
    }
    let answer = known.get(offset);
    if (answer === undefined) {
      answer = readsUpTo(section, start - section.start, address - section.start);
      known.set(offset, answer);
    }
    return answer;
  }
}

/** Whether reading instructions from `from` arrives at `to` exactly. */
function readsUpTo(section: Section, from: number, to: number): boolean {
  // The bytes end where the question is: the reader's last instruction either ends there or is cut.
  const reader = new BlockReader(section.bytes.subarray(from, to), 64);
  const shape: BlockShape = emptyShape();
  try {
    let offset = 0;
    while (offset < to - from) {
      reader.read(offset, shape);
      offset += shape.size;
      if (shape.end === 'cut') break;
      // Data between instructions: nothing can be said about what follows.
      if (shape.end === 'invalid') return true;
    }
    return offset === to - from;
  } finally {
    reader.dispose();
  }
}

/** @returns how many of `sorted` are at most `value` */
function countUpTo(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
