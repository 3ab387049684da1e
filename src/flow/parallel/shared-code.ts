import type { Address } from '../../base/address.ts';
import type { AddressSpace, Section } from '../../image/address-space.ts';

/** A section for another thread. */
export interface SharedSection {
  readonly start: Address;
  readonly end: Address;
  readonly bits?: 32 | 64;
  /** Number of its bytes; -1 where no code is expected, so that they were left out. */
  readonly bytes: number;
}

/** Bytes that threads share, with the number that sections call them by. */
export interface NumberedBytes {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** Copies code to where other threads see it, each run of bytes once. */
export class CodeSharing {
  readonly #known: WeakMap<Uint8Array, NumberedBytes> = new WeakMap();
  #next = 0;

  share({ sections }: AddressSpace): {
    readonly sections: readonly SharedSection[];
    readonly code: readonly NumberedBytes[];
  } {
    const code: NumberedBytes[] = [];
    const shared = sections.map(({ start, end, bits, bytes, isExecutable }) => {
      const numbered = isExecutable ? this.#numbered(bytes) : undefined;
      if (numbered !== undefined) code.push(numbered);
      const width = bits === undefined ? {} : { bits };
      return { start, end, ...width, bytes: numbered?.number ?? -1 };
    });
    return { sections: shared, code };
  }

  #numbered(bytes: Uint8Array): NumberedBytes {
    let numbered = this.#known.get(bytes);
    if (numbered === undefined) {
      const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
      shared.set(bytes);
      numbered = { number: this.#next++, bytes: shared };
      this.#known.set(bytes, numbered);
    }
    return numbered;
  }
}

/** Code was asked for where none was expected, so that it was not shared. */
export class CodeNotShared extends Error {}

/** The address space of a process as another thread sees it: its code, and nothing about it. */
export class SharedSpace implements AddressSpace {
  readonly modules: AddressSpace['modules'] = [];
  readonly missing: readonly string[] = [];
  readonly flat: readonly string[] = [];
  readonly sections: readonly Section[];
  readonly #lacking: ReadonlySet<Section>;

  /** @param bytesOf  gives the same array for the same number, so that caches can use it as a key */
  constructor(shared: readonly SharedSection[], bytesOf: (number: number) => Uint8Array) {
    const lacking = new Set<Section>();
    this.sections = shared.map(({ start, end, bits, bytes: number }) => {
      const bytes = number < 0 ? new Uint8Array(0) : bytesOf(number);
      const section: Section = {
        ...{ start, end, bytes, module: -1, isExecutable: true, image: bytes, imageOffset: 0 },
        ...(bits === undefined ? {} : { bits }),
      };
      if (number < 0) lacking.add(section);
      return section;
    });
    this.#lacking = lacking;
  }

  /** @throws CodeNotShared */
  find(address: Address): Section | undefined {
    let low = 0;
    let high = this.sections.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.sections[middle].start <= address) low = middle + 1;
      else high = middle;
    }
    const section = this.sections[low - 1];
    if (section === undefined || address >= section.end) return undefined;
    if (this.#lacking.has(section)) throw new CodeNotShared();
    return section;
  }

  moduleAt(): number {
    return -1;
  }

  isExecutable(): undefined {
    return undefined;
  }

  symbolAt(): undefined {
    return undefined;
  }

  isFunctionEntry(): undefined {
    return undefined;
  }
}
