import { enlarged } from '../../base/bytes/typed-array.ts';

/**
 * Integers of a context, in one half of a cache line, because contexts are met in no order that a
 * processor could foresee: with an array for each field judging took twice as long. The first two are its
 * hash; who extends the index says what the others are.
 */
export const contextSize = 8;

/**
 * Contexts by 64 bits of hash, numbered from 0.
 *
 * A context that is made right after its next shorter one stands behind it, and needs no other way to be
 * found. Most long contexts are of that kind: they came once, together. The others are in a hash table.
 */
export class ContextIndex {
  length = 0;
  /** `[length, contextSize]`. */
  contexts: Int32Array<ArrayBuffer> = new Int32Array(contextSize * 1024);
  /** Context + 1 (0 = free) and the higher half of its hash, by slot. */
  #slots: Int32Array<ArrayBuffer> = new Int32Array(2 * 2048);
  #inSlots = 0;

  /**
   * @param parent  its next shorter context, which is known; -1 for level 0
   * @returns the context with this hash, or -1
   */
  find(low: number, high: number, parent: number): number {
    const { contexts } = this;
    const behind = (parent + 1) * contextSize;
    if (contexts[behind] === low && contexts[behind + 1] === high && parent + 1 < this.length) {
      return parent + 1;
    }
    const slots = this.#slots;
    const mask = slots.length - 2;
    for (let slot = (low << 1) & mask; ; slot = (slot + 2) & mask) {
      const context = slots[slot] - 1;
      if (context < 0) return -1;
      if (slots[slot + 1] === high && contexts[context * contextSize] === low) return context;
    }
  }

  /** Makes a context that there is not; its other integers are what they were. */
  make(low: number, high: number, parent: number): number {
    const context = this.append(low, high);
    if (context !== parent + 1) {
      this.#inSlots++;
      if (this.#inSlots * 4 > this.#slots.length) this.#enlargeSlots();
      this.#put(context);
    }
    return context;
  }

  /** Makes a context that is found no more than by its number. */
  append(low: number, high: number): number {
    const context = this.length++;
    const at = context * contextSize;
    if (at === this.contexts.length) this.contexts = enlarged(this.contexts, roomAfter(at));
    this.contexts[at] = low;
    this.contexts[at + 1] = high;
    return context;
  }

  /** Forgets all contexts; keeps the room that they had. */
  clear(): void {
    this.length = 0;
    if (this.#inSlots > 0) this.#slots.fill(0);
    this.#inSlots = 0;
  }

  /** Makes room for so many contexts at once, half of them in the hash table. */
  reserve(contexts: number): void {
    const room = contexts * contextSize;
    if (room > this.contexts.length) this.contexts = enlarged(this.contexts, room);
    while (contexts * 2 > this.#slots.length) this.#enlargeSlots();
  }

  #put(context: number): void {
    const slots = this.#slots;
    const mask = slots.length - 2;
    const at = context * contextSize;
    let slot = (this.contexts[at] << 1) & mask;
    while (slots[slot] !== 0) slot = (slot + 2) & mask;
    slots[slot] = context + 1;
    slots[slot + 1] = this.contexts[at + 1];
  }

  #enlargeSlots(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(2 * old.length);
    for (let slot = 0; slot < old.length; slot += 2) {
      if (old[slot] > 0) this.#put(old[slot] - 1);
    }
  }
}

/** @returns twice as much, of large tables half as much again: while one is copied there is both */
export function roomAfter(length: number): number {
  return length < 1 << 22 ? 2 * length : length + ((length >>> 1) & ~(contextSize - 1));
}
