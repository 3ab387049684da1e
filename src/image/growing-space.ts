import type { Address } from '../base/address.ts';
import type { AddressSpace, Module, Section, SymbolAt } from './address-space.ts';

const pageSize = 4096;
const none = new Uint8Array(0);
/** Made code is looked for by stretches of this size. */
const stretchBytes = 256 * pageSize;
/** Made code that is kept. */
const mostMadeBytes = 1 << 26;

/**
 * The address space of a process that still runs: files are mapped and code is made while its flow is
 * followed. Modules keep their numbers, whatever is mapped later.
 */
export class GrowingSpace implements AddressSpace {
  readonly modules: Module[] = [];
  missing: readonly string[] = [];
  flat: readonly string[] = [];
  readonly #index: Map<string, number> = new Map();
  /** Made code by stretch: pages that lie side by side are one section, so that blocks may cross them. */
  readonly #made: Map<number, readonly Section[]> = new Map();
  #madeBytes = 0;
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
   * @returns whether there is a module that was not there before, or was gone
   */
  grow(space: AddressSpace): boolean {
    const before = new Set(this.#numbers);
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
    return this.#numbers.some((number) => !before.has(number));
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
      const page = Math.floor(address / pageSize) * pageSize;
      const part = code.subarray(at, at + page + pageSize - address);
      at += part.length;
      const section = this.#madeAt(address) ?? this.#addPage(page, bits);
      if (section === undefined) {
        isOther = true;
        continue;
      }
      const into = address - section.start;
      for (let i = 0; i < part.length; i++) {
        const old = section.bytes[into + i];
        if (old !== part[i] && old !== 0) isOther = true;
        section.bytes[into + i] = part[i];
      }
    }
    return isOther;
  }

  /** @returns the section that a page of made code is in from now on; `undefined` past the bounds */
  #addPage(page: Address, bits: 32 | 64): Section | undefined {
    if (this.#madeBytes + pageSize > mostMadeBytes) return undefined;
    this.#madeBytes += pageSize;
    const stretch = Math.floor(page / stretchBytes);
    const known = this.#made.get(stretch) ?? [];
    const left = known.find(({ end }) => end === page);
    const right = known.find(({ start }) => start === page + pageSize);
    const parts = [left?.bytes ?? none, this.#pageOfFile(page), right?.bytes ?? none];
    const section = madeSection(left?.start ?? page, new Uint8Array(Buffer.concat(parts)), bits);
    const others = known.filter((each) => each !== left && each !== right);
    this.#made.set(stretch, [...others, section]);
    return section;
  }

  /** @returns what a page holds beside the code that is made */
  #pageOfFile(page: Address): Uint8Array {
    const bytes = new Uint8Array(pageSize);
    const section = this.#inner.find(page);
    if (section !== undefined) {
      const from = page - section.start;
      bytes.set(section.bytes.subarray(from, from + pageSize));
    }
    return bytes;
  }

  /**
   * For following the process from its beginning: code that was read before it was rewritten is read again.
   *
   * @param space  all that was ever mapped
   * @returns the same made code in it
   */
  copyFor(space: AddressSpace): GrowingSpace {
    const other = new GrowingSpace(space);
    for (const [stretch, sections] of this.#made) {
      const own = sections.map(({ start, bytes, bits }) =>
        madeSection(start, new Uint8Array(bytes), bits),
      );
      other.#made.set(stretch, own);
    }
    other.#madeBytes = this.#madeBytes;
    return other;
  }

  #madeAt(address: Address): Section | undefined {
    if (this.#made.size === 0) return undefined;
    const sections = this.#made.get(Math.floor(address / stretchBytes));
    return sections?.find(({ start, end }) => address >= start && address < end);
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

function madeSection(start: Address, bytes: Uint8Array, bits: 32 | 64 | undefined): Section {
  return {
    ...{ start, end: start + bytes.length, bytes, image: bytes, imageOffset: 0 },
    ...{ module: -1, isExecutable: true, ...(bits === undefined ? {} : { bits }) },
  };
}
