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

  /** Adds a context at the end. */
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

  #grow(): void {
    const room = 2 * this.level.length;
    this.hashes = enlarged(this.hashes, 2 * room);
    this.level = enlarged(this.level, room);
    this.parent = enlarged(this.parent, room);
  }
}
