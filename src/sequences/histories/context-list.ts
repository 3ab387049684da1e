import { enlarged } from '../../base/bytes/typed-array.ts';
import { deepestLevels, historyLevels } from './levels.ts';

const levels = historyLevels.length;
/** Contexts that say all others: one for each history. */
export const chainLength: number = deepestLevels.length;

/**
 * Contexts of events, each once, numbered from 0; a context's next shorter one has a smaller number. So the
 * hashes of an event are told by the longest context of each history.
 */
export class ContextList {
  length = 0;
  /** `[length, 2]`: 64 bits of hash. */
  hashes: Int32Array<ArrayBuffer> = new Int32Array(2 * 1024);
  level: Uint8Array<ArrayBuffer> = new Uint8Array(1024);
  /** Number of the next shorter context; -1 = none. */
  parent: Int32Array<ArrayBuffer> = new Int32Array(1024);
  /** Number + 1 by slot; 0 = free. Made when something is looked for. */
  #slots: Int32Array = new Int32Array(4096);

  /**
   * Finds or adds the contexts of one event.
   *
   * @param hashes  `[levels, 2]` from `at` on
   * @param longest  gets the number of the longest known context of each history; -1 = none is known
   */
  describe(hashes: Int32Array, at: number, longest: Int32Array): void {
    for (let history = 0; history < chainLength; history++) {
      let level = deepestLevels[history];
      while (level >= 0 && hashes[at + 2 * level] === 0 && hashes[at + 2 * level + 1] === 0) {
        level = historyLevels[level].parent;
      }
      longest[history] = this.#intern(hashes, at, level);
    }
  }

  /** Writes the hashes of an event into `[levels, 2]` from `at` on, which is all 0. */
  restore(longest: ArrayLike<number>, first: number, hashes: Int32Array, at: number): void {
    for (let history = 0; history < chainLength; history++) {
      for (let context = longest[first + history]; context >= 0; context = this.parent[context]) {
        const to = at + 2 * this.level[context];
        hashes[to] = this.hashes[2 * context];
        hashes[to + 1] = this.hashes[2 * context + 1];
      }
    }
  }

  /** Adds a context at the end, unlooked for. */
  append(low: number, high: number, level: number, parent: number): number {
    const context = this.length++;
    if (context === this.level.length) this.#grow();
    this.hashes[2 * context] = low;
    this.hashes[2 * context + 1] = high;
    this.level[context] = level;
    this.parent[context] = parent;
    return context;
  }

  /** @returns whether a context can be of this level and have this parent, as far as the list goes */
  canHave(level: number, parent: number): boolean {
    if (level >= levels || parent >= this.length) return false;
    const wanted = historyLevels[level].parent;
    return wanted < 0 ? parent === -1 : parent >= 0 && this.level[parent] === wanted;
  }

  /** @returns the context of an event at a level, with all that are shorter; -1 for no level */
  #intern(hashes: Int32Array, at: number, level: number): number {
    if (level < 0) return -1;
    const low = hashes[at + 2 * level];
    const high = hashes[at + 2 * level + 1];
    const known = this.#find(low, high, level);
    if (known >= 0) return known;
    const parent = this.#intern(hashes, at, historyLevels[level].parent);
    const context = this.append(low, high, level, parent);
    if (3 * this.length > this.#slots.length) this.#rehash(2 * this.#slots.length);
    else this.#put(context);
    return context;
  }

  #find(low: number, high: number, level: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const context = this.#slots[slot] - 1;
      if (context < 0) return -1;
      const isSame = this.hashes[2 * context] === low && this.hashes[2 * context + 1] === high;
      if (isSame && this.level[context] === level) return context;
    }
  }

  #put(context: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.hashes[2 * context] & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = context + 1;
  }

  #rehash(size: number): void {
    this.#slots = new Int32Array(size);
    for (let context = 0; context < this.length; context++) this.#put(context);
  }

  #grow(): void {
    const room = 2 * this.level.length;
    this.hashes = enlarged(this.hashes, 2 * room);
    this.level = enlarged(this.level, room);
    this.parent = enlarged(this.parent, room);
  }
}
