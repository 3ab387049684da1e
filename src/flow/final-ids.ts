import { enlarged } from '../base/bytes/typed-array.ts';

/** Entries from here on are blocks whose id is not settled yet; ids lie below. */
export const firstOpen: number = 1 << 24;

/**
 * What the blocks of one decoder are called by those who read it, where that is not their own node. A node that
 * nobody has named yet is told as `firstOpen` more than it is.
 */
export class FinalIds {
  #ids: Int32Array<ArrayBuffer> = new Int32Array(1 << 10);
  #count = 0;

  /** @param ids  of the nodes behind those that have a name */
  add(ids: Int32Array): void {
    while (this.#count + ids.length > this.#ids.length) {
      this.#ids = enlarged(this.#ids, this.#ids.length * 2);
    }
    this.#ids.set(ids, this.#count);
    this.#count += ids.length;
  }

  /**
   * Puts final ids for nodes; marks stay.
   *
   * @returns whether there is an open one
   */
  settle(entries: Int32Array, from: number, to: number): boolean {
    const ids = this.#ids;
    const count = this.#count;
    let isOpen = false;
    for (let i = from; i < to; i++) {
      const node = entries[i];
      if (node < 0) continue;
      if (node < count) entries[i] = ids[node];
      else {
        entries[i] = node + firstOpen;
        isOpen = true;
      }
    }
    return isOpen;
  }

  /**
   * Puts final ids for those that were open.
   *
   * @returns whether there still is an open one
   */
  close(entries: Int32Array, from: number, to: number): boolean {
    let isOpen = false;
    for (let i = from; i < to; i++) {
      const node = entries[i] - firstOpen;
      if (node < 0) continue;
      if (node < this.#count) entries[i] = this.#ids[node];
      else isOpen = true;
    }
    return isOpen;
  }
}
