import { enlarged } from '../base/bytes/typed-array.ts';
import type { WindowChunk, WindowSource } from './window-chunk.ts';

/** Odd, so that multiplying by it loses nothing mod 2^32. */
export const rollingFactor: number = 0x9e3779b1 | 0;
const symbolFactor = 0xcc9e2d51 | 0;

/** What a symbol adds to a rolling hash: hash = hash * rollingFactor + hashOfSymbol(symbol). */
export function hashOfSymbol(symbol: number): number {
  return Math.imul(symbol + 1, symbolFactor);
}

/** @returns the rolling hash of `length` symbols from `from` on */
export function hashWindow(symbols: Int32Array, from: number, length: number): number {
  let hash = 0;
  for (let i = from; i < from + length; i++) {
    hash = (Math.imul(hash, rollingFactor) + hashOfSymbol(symbols[i])) | 0;
  }
  return hash;
}

/**
 * Counts distinct pairs of window and target exactly.
 *
 * Windows stand in one array, found through an open-addressing table. A rolling hash makes the
 * look-up cost independent of the window's length; equal hashes are compared symbol by symbol, so
 * nothing rests on the hash being good.
 */
export class WindowCounter implements WindowSource {
  readonly windowLength: number;
  /** Distinct windows so far. */
  length = 0;
  /** `[length, windowLength]` symbols, oldest first. */
  symbols: Int32Array<ArrayBuffer>;
  /** Symbol that came after each window. */
  targets: Int32Array<ArrayBuffer>;
  counts: Float64Array<ArrayBuffer>;
  /** Hash of each window and target, for the table's growth. */
  #hashes: Int32Array<ArrayBuffer>;
  /** Distinct index + 1 by slot; 0 = free. */
  #slots: Int32Array<ArrayBuffer>;

  constructor(windowLength: number) {
    this.windowLength = windowLength;
    // A log of calls has some hundred windows, and there are thousands of logs.
    const room = 256;
    this.symbols = new Int32Array(room * windowLength);
    this.targets = new Int32Array(room);
    this.counts = new Float64Array(room);
    this.#hashes = new Int32Array(room);
    this.#slots = new Int32Array(room * 2);
  }

  /**
   * Counts `weight` occurrences.
   *
   * @param from  index in `history` of the window's oldest symbol
   * @param hash  rolling hash of the window's symbols
   * @returns index of the distinct window
   */
  add(history: Int32Array, from: number, hash: number, target: number, weight = 1): number {
    const mixed = mix(hash ^ Math.imul(target, 0x85ebca6b));
    const slots = this.#slots;
    const mask = slots.length - 1;
    const n = this.windowLength;
    let slot = mixed & mask;
    for (;;) {
      const index = slots[slot] - 1;
      if (index < 0) break;
      if (this.#hashes[index] === mixed && this.targets[index] === target) {
        const symbols = this.symbols;
        const at = index * n;
        let i = n - 1;
        while (i >= 0 && symbols[at + i] === history[from + i]) i--;
        if (i < 0) {
          this.counts[index] += weight;
          return index;
        }
      }
      slot = (slot + 1) & mask;
    }
    const index = this.length++;
    if (index === this.targets.length) this.#grow();
    this.symbols.set(history.subarray(from, from + n), index * n);
    this.targets[index] = target;
    this.counts[index] = weight;
    this.#hashes[index] = mixed;
    this.#slots[slot] = index + 1;
    if (this.length * 2 > this.#slots.length) this.#rehash();
    return index;
  }

  /** Adds all that another counter of the same window length holds. @returns its occurrences */
  addAll(other: WindowCounter): number {
    const n = this.windowLength;
    let occurrences = 0;
    for (let index = 0; index < other.length; index++) {
      const hash = hashWindow(other.symbols, index * n, n);
      this.add(other.symbols, index * n, hash, other.targets[index], other.counts[index]);
      occurrences += other.counts[index];
    }
    return occurrences;
  }

  /** All windows in one chunk, in the order of their first appearance. */
  *chunks(): Generator<WindowChunk> {
    yield this;
  }

  /** Drops the windows for which `keep` is false; the others get new indices in the same order. */
  retain(keep: (index: number) => boolean): void {
    const n = this.windowLength;
    let length = 0;
    for (let index = 0; index < this.length; index++) {
      if (!keep(index)) continue;
      this.symbols.copyWithin(length * n, index * n, (index + 1) * n);
      this.targets[length] = this.targets[index];
      this.counts[length] = this.counts[index];
      this.#hashes[length++] = this.#hashes[index];
    }
    this.length = length;
    this.#fillSlots(this.#slots.fill(0));
  }

  /** Forgets all windows; keeps the room that they had. */
  clear(): void {
    this.length = 0;
    this.#slots.fill(0);
  }

  /** Bytes held. */
  get memory(): number {
    const parts = [this.symbols, this.targets, this.counts, this.#hashes, this.#slots];
    return parts.reduce((sum, part) => sum + part.byteLength, 0);
  }

  #grow(): void {
    const room = Math.ceil(this.targets.length * 1.5);
    this.symbols = enlarged(this.symbols, room * this.windowLength);
    this.targets = enlarged(this.targets, room);
    this.counts = enlarged(this.counts, room);
    this.#hashes = enlarged(this.#hashes, room);
  }

  #rehash(): void {
    this.#slots = new Int32Array(this.#slots.length * 2);
    this.#fillSlots(this.#slots);
  }

  #fillSlots(slots: Int32Array): void {
    const mask = slots.length - 1;
    for (let index = 0; index < this.length; index++) {
      let slot = this.#hashes[index] & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = index + 1;
    }
  }
}

/** Finalizer of MurmurHash3 (Appleby), 32 bits. */
export function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
