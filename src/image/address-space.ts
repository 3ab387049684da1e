import type { Address } from '../base/address.ts';

/** A mapped image: an executable, a library, a memory dump, or an anonymous region. */
export interface Module {
  /** As the memory map gives it, with its separators; may be empty. */
  readonly path: string;
  /** Last component of the path after `/` or `\`; lower case for Windows paths. Names the module across runs. */
  readonly name: string;
  /** Address that block offsets count from: the lowest mapped address of the image. */
  readonly base: Address;
  /** The upper half of the ancestor's block ids, where a preprocessed trace brings its own. */
  readonly checksum?: number;
}

/**
 * A run of mapped bytes whose content is known.
 *
 * `image` and `imageOffset` say which bytes of which loaded file these are: two traces that map
 * the same file at different addresses share them, so that decoded code can be cached for both.
 */
export interface Section {
  readonly start: Address;
  /** First address after the section. */
  readonly end: Address;
  /** `end - start` bytes. */
  readonly bytes: Uint8Array;
  /** Index into `AddressSpace.modules`; -1 for code that belongs to no file. */
  readonly module: number;
  readonly isExecutable: boolean;
  /**
   * Width of its code by the image's header; for a file without one, that of all others of the process.
   * Not set where neither says: MODE.Exec does.
   */
  readonly bits?: 32 | 64;
  /** Identity of the loaded image; the same object wherever the same file is mapped. */
  readonly image: object;
  /** Position of `bytes[0]` in the image's file. */
  readonly imageOffset: number;
}

export interface SymbolAt {
  readonly name: string;
  /** Bytes from the symbol's start. */
  readonly offset: number;
}

/** What code lies where in one traced process. */
export interface AddressSpace {
  readonly modules: readonly Module[];
  /** Sorted by start, never overlapping. */
  readonly sections: readonly Section[];
  /** @returns the section that holds `address`, or `undefined` when its bytes are not known */
  find(address: Address): Section | undefined;
  /** @returns the module mapped there even when its bytes are missing; -1 when nothing is mapped */
  moduleAt(address: Address): number;
  /** @returns whether the map says that this address is executable; `undefined` when it does not say */
  isExecutable(address: Address): boolean | undefined;
  symbolAt(address: Address): SymbolAt | undefined;
  /** @returns whether a function starts here, as far as symbols tell */
  isFunctionEntry(address: Address): boolean | undefined;
  /** Mapped files that no `--bin-dir` holds. */
  readonly missing: readonly string[];
  /** Mapped files that are no ELF or PE: taken as memory dumps, byte for byte. */
  readonly flat: readonly string[];
}

/**
 * Where a place of a file lies. A file whose data is mapped from other offsets than its code counts as two
 * modules of one name: the one that reaches there is meant.
 *
 * @param offset  from the base of the module
 * @returns `undefined` where no file of this name is mapped
 */
export function addressIn(
  space: Pick<AddressSpace, 'modules' | 'moduleAt'>,
  module: string,
  offset: number,
): Address | undefined {
  let first: Address | undefined;
  for (const [index, { name, base }] of space.modules.entries()) {
    if (name !== module) continue;
    if (space.moduleAt(base + offset) === index) return base + offset;
    first ??= base + offset;
  }
  return first;
}
