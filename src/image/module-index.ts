import { randomInt } from 'node:crypto';
import type { Address } from '../base/address.ts';
import { enlarged } from '../base/bytes/typed-array.ts';

/**
 * Numbers the modules of a map, each a file and a base, in the order in which they are first seen. A `Map`
 * with addresses for keys takes 100 MB for a million of them, and ten times as long.
 */
export class ModuleIndex {
  #files: Int32Array<ArrayBuffer> = new Int32Array(64);
  #bases: Float64Array<ArrayBuffer> = new Float64Array(64);
  /** Number of a module and 1, where its hash or the first free place behind it is; 0 is free. Half of it, at most. */
  #slots: Int32Array<ArrayBuffer> = new Int32Array(128);
  #length = 0;
  /** Nobody can write a map whose modules all have one hash. */
  readonly #seed: number = randomInt(2 ** 31);

  /** @returns the number of a module; as many as there were before, where it is new */
  numberOf(file: number, base: Address): number {
    let slot = this.#slotOf(file, base);
    const known = this.#slots[slot] - 1;
    if (known >= 0) return known;
    if (this.#length === this.#files.length) {
      this.#grow();
      slot = this.#slotOf(file, base);
    }
    this.#files[this.#length] = file;
    this.#bases[this.#length] = base;
    this.#slots[slot] = ++this.#length;
    return this.#length - 1;
  }

  /** @returns where a module is, or is to be */
  #slotOf(file: number, base: Address): number {
    const mask = this.#slots.length - 1;
    let slot = this.#hash(file, base) & mask;
    for (;;) {
      const module = this.#slots[slot] - 1;
      if (module < 0 || (this.#bases[module] === base && this.#files[module] === file)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #hash(file: number, base: Address): number {
    const low = mixed(this.#seed ^ base);
    return mixed(mixed(low ^ (base / 2 ** 32)) ^ file);
  }

  #grow(): void {
    this.#files = enlarged(this.#files, this.#files.length * 2);
    this.#bases = enlarged(this.#bases, this.#bases.length * 2);
    this.#slots = new Int32Array(this.#slots.length * 2);
    for (let i = 0; i < this.#length; i++) {
      this.#slots[this.#slotOf(this.#files[i], this.#bases[i])] = i + 1;
    }
  }
}

/** @param word  of which the low 32 bits count */
function mixed(word: number): number {
  const product = Math.imul(word, 0x9e37_79b1);
  return product ^ (product >>> 15);
}
