import type { ImageMemory } from './image-memory.ts';

/** A name that an image gives to other images. */
export interface Definition {
  /** In the image's own space. */
  readonly address: number;
  /** `resolver`: an indirect function (IFUNC), whose address is what this resolver returns. */
  readonly kind: 'function' | 'resolver' | 'data' | 'untyped';
  /** Symbol version; not set where the image has none. */
  readonly version?: string;
  /** PE: the name is another library's: `NTDLL.RtlAllocateHeap`. */
  readonly forwarder?: string;
}

/** What the loader puts into a pointer when it is not simply a place of the same image. */
export type Binding =
  | {
      readonly kind: 'name';
      readonly name: string;
      /** Version that is asked for; not set = any. */
      readonly version?: string;
      /** The image itself says that it is data: a type's information, a variable. */
      readonly isData?: true;
    }
  /** What the indirect function's resolver at this address of the image returns. */
  | { readonly kind: 'resolver'; readonly address: number };

/** Pointers that the loader sets to places in the same image; struct of arrays, by place. */
export interface Pointers {
  readonly places: Float64Array;
  readonly targets: Float64Array;
}

/** What an image's tables for the loader say. All addresses are the image's own. */
export interface ImageTables {
  readonly format: 'elf' | 'pe';
  readonly bits: 32 | 64;
  /** ELF: address of the global offset table's reserved part (DT_PLTGOT). */
  readonly got: number | undefined;
  /** Where the image expects to be mapped; its absolute addresses minus this are its own (0 in ELF). */
  readonly imageBase: number;
  /** Code refers to the image by absolute addresses without relocations: it stays where it is. */
  readonly isFixed: boolean;
  readonly definitions: ReadonlyMap<string, readonly Definition[]>;
  readonly bindings: ReadonlyMap<number, Binding>;
  /** Slots of lazily bound functions, in the order of their relocations. */
  readonly lazySlots: readonly number[];
  readonly pointers: Pointers;
  /** Code that the loader or the system starts by itself: entry, initializers, callbacks, handlers. */
  readonly started: readonly number[];
  /** Functions that a runtime in the program finds by a table of its own, as Go's does; no loader calls them. */
  readonly listed: readonly number[];
  /** Data that the loader may write and then makes read-only. */
  readonly readOnly: readonly { readonly start: number; readonly end: number }[];
  /** What the program may write, `readOnly` among it. */
  readonly writable: readonly { readonly start: number; readonly end: number }[];
  /** Where unwind information begins: `.eh_frame_hdr`, or a PE's exception directory with its size. */
  readonly unwind: { readonly address: number; readonly size: number } | undefined;
  /** Shared object name: `ld-linux-x86-64.so.2`, `KERNEL32.dll`. */
  readonly name: string | undefined;
}

/** Collects pointers in any order and sorts them; of two for one place the last one counts. */
export function sortedPointers(byPlace: ReadonlyMap<number, number>): Pointers {
  const places = Float64Array.from(byPlace.keys()).sort();
  return { places, targets: places.map((place) => byPlace.get(place)!) };
}

/** @returns index of the first of the ascending `sorted` that is at least `value` */
export function firstAtLeast(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @returns where a pointer of the loader's leads, `undefined` where it sets none */
export function pointerAt(pointers: Pointers, place: number): number | undefined {
  const index = firstAtLeast(pointers.places, place);
  return pointers.places[index] === place ? pointers.targets[index] : undefined;
}

/** Names of an image, up to a budget: hostile tables share one long name. */
export class NameReader {
  readonly #memory: ImageMemory;
  #budget: number;

  constructor(memory: ImageMemory) {
    this.#memory = memory;
    const size = memory.runs.reduce((sum, run) => sum + run.bytes.length, 0);
    this.#budget = 4 * size + 65_536;
  }

  /** @returns `undefined` for an empty name, none, or beyond the budget */
  read(address: number): string | undefined {
    if (this.#budget <= 0) return undefined;
    const name = this.#memory.string(address);
    this.#budget -= name?.length ?? 0;
    return name === '' ? undefined : name;
  }
}
