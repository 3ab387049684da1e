/** Integers of a slot: low, high, value plus one (0 = free), and one that makes slots keep to a cache line. */
const slotSize = 4;

/**
 * Non-negative integers by 64-bit keys in halves: open addressing in one typed array.
 *
 * A `Map` keyed by numbers beyond 2^31 boxes and hashes each of them as a double, on a path that every
 * indirect branch takes.
 */
export class AddressIndex {
  #slots: Int32Array = new Int32Array(1024 * slotSize);
  #count = 0;

  /** @returns the value of a key, or -1 */
  get(low: number, high: number): number {
    const slots = this.#slots;
    const mask = slots.length - slotSize;
    for (let at = hash(low, high) & mask; ; at = (at + slotSize) & mask) {
      const value = slots[at + 2];
      if (value === 0 || (slots[at] === low && slots[at + 1] === high)) return value - 1;
    }
  }

  /** Adds a key that is not there yet. */
  add(low: number, high: number, value: number): void {
    // At most half full, so that probes stay short and always end.
    if (++this.#count * 2 * slotSize > this.#slots.length) this.#grow();
    this.#insert(low, high, value + 1);
  }

  #insert(low: number, high: number, stored: number): void {
    const slots = this.#slots;
    const mask = slots.length - slotSize;
    let at = hash(low, high) & mask;
    while (slots[at + 2] !== 0) at = (at + slotSize) & mask;
    slots[at] = low;
    slots[at + 1] = high;
    slots[at + 2] = stored;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(old.length * 2);
    for (let at = 0; at < old.length; at += slotSize) {
      if (old[at + 2] !== 0) this.#insert(old[at], old[at + 1], old[at + 2]);
    }
  }
}

/** Code of one image differs in the low bits; images far apart may share them, so higher bits take part. */
function hash(low: number, high: number): number {
  const mixed = Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b);
  return (mixed ^ (mixed >>> 15)) << 2;
}
