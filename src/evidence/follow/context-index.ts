import { ContextList, type Stay } from './context-list.ts';

/** Stays of contexts by a number: an address, or part of one. */
export class ContextIndex {
  readonly #lists: Map<number, ContextList> = new Map();

  has(key: number): boolean {
    return this.#lists.has(key);
  }

  /** @returns an empty list where there is none */
  at(key: number): ContextList {
    return this.#lists.get(key) ?? none;
  }

  add(key: number, stay: Stay): void {
    let list = this.#lists.get(key);
    if (list === undefined) {
      list = new ContextList();
      this.#lists.set(key, list);
    }
    list.push(stay);
  }

  /** One of the stays that were added under a key is over. */
  release(key: number): void {
    const list = this.#lists.get(key);
    list?.release();
    if (list?.length === 0) this.#lists.delete(key);
  }

  clear(): void {
    this.#lists.clear();
  }
}

const none: ContextList = new ContextList();
