import type { Address } from '../base/address.ts';

/**
 * Non-negative integers by address: open addressing in typed arrays.
 *
 * A `Map` keyed by numbers beyond 2^31 boxes and hashes each of them as a double, on a path that every
 * indirect branch takes.
 */
export class AddressIndex {
  #keys: Float64Array = new Float64Array(1024);
  /** Value plus one; 0 = free. */
  #values: Int32Array = new Int32Array(1024);
  #count = 0;

  /** @returns the value of `address`, or -1 */
  get(address: Address): number {
    const keys = this.#keys;
    const values = this.#values;
    const mask = values.length - 1;
    for (let slot = hash(address) & mask; ; slot = (slot + 1) & mask) {
      const value = values[slot];
      if (value === 0 || keys[slot] === address) return value - 1;
    }
  }

  /** Adds an address that is not there yet. */
  add(address: Address, value: number): void {
    // At most half full, so that probes stay short and always end.
    if (++this.#count * 2 > this.#values.length) this.#grow();
    this.#insert(address, value + 1);
  }

  #insert(address: Address, stored: number): void {
    const mask = this.#values.length - 1;
    let slot = hash(address) & mask;
    while (this.#values[slot] !== 0) slot = (slot + 1) & mask;
    this.#keys[slot] = address;
    this.#values[slot] = stored;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Float64Array(keys.length * 2);
    this.#values = new Int32Array(values.length * 2);
    for (let i = 0; i < values.length; i++) {
      if (values[i] !== 0) this.#insert(keys[i], values[i]);
    }
  }
}

/** Code of one image differs in the low bits; images far apart may share them, so higher bits take part. */
function hash(address: Address): number {
  const low = Math.imul(address | 0, 0x9e3779b1);
  const high = Math.imul((address / 0x1_0000_0000) | 0, 0x85ebca6b);
  return (low ^ high ^ (low >>> 15)) >>> 0;
}
