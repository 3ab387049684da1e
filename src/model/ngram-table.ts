import { hashOfSymbol, rollingFactor } from '../sequences/window-counter.ts';
import type { WindowSet } from '../sequences/windows.ts';

/** Context lengths, in blocks, that are counted; those longer than the window are left out. */
export const contextLengths = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32] as const;

/** One occurrence weighs 1; less than half of it is rounding. */
const leastWeight = 0.5;

/** The arrays of a table, for files and for sharing between threads. */
export interface NgramParts {
  /** Context lengths, ascending. */
  readonly orders: Int32Array;
  /** log P(target) without any context, `[outputClasses]`. */
  readonly general: Float32Array;
  /** Context + 1 by slot; 0 = free. A power of 2. */
  readonly slots: Int32Array;
  /** Two hashes of each context, which stand for it. */
  readonly keys: Int32Array;
  /** First entry of each context; one more at the end. */
  readonly starts: Int32Array;
  /** Target and count of each entry. */
  readonly targets: Int32Array;
  readonly counts: Float32Array;
}

/**
 * How often each target followed each context, and the interpolated distribution after Witten and
 * Bell: a context with N counted windows and T kinds of targets gives T / (N + T) to the next shorter
 * context.
 *
 * A distinct window counts as `countWeight` of its occurrences, which grows slowly: what a program can
 * do matters more than how long it did it. Contexts are named by 64 bits of hash and not compared symbol by symbol; among
 * 10^7 contexts two fall together with a probability of 3e-6.
 *
 * @see Witten and Bell, "The zero-frequency problem", IEEE Transactions on Information Theory 37 (1991)
 */
export class NgramTable {
  readonly parts: NgramParts;
  readonly outputClasses: number;

  constructor(parts: NgramParts) {
    this.parts = parts;
    this.outputClasses = parts.general.length;
  }

  static fit(windows: WindowSet, outputClasses: number): NgramTable {
    const n = windows.windowLength;
    const orders = contextLengths.filter((order) => order <= n);
    const contexts = new ContextIndex(windows.length * 2);
    // One number for each pair of context and target; sorted, equal pairs stand together.
    const pairs = new Float64Array(windows.length * orders.length);
    const total = new Float64Array(outputClasses).fill(0.5);
    const hashes = new Int32Array(orders.length * 2);
    for (let i = 0; i < windows.length; i++) {
      const target = windows.targets[i];
      total[target] += countWeight(windows.counts[i]);
      hashContexts(windows.symbols, (i + 1) * n, orders, hashes);
      for (let k = 0; k < orders.length; k++) {
        const context = contexts.intern(hashes[2 * k], hashes[2 * k + 1]);
        pairs[i * orders.length + k] = context * outputClasses + target;
      }
    }
    // Sorted through an index, since each pair carries its window's weight.
    const order = sortedIndex(pairs);
    const starts = new Int32Array(contexts.length + 1);
    const targets = new Int32Array(pairs.length);
    const counts = new Float32Array(pairs.length);
    let entries = 0;
    for (let i = 0; i < pairs.length; ) {
      const pair = pairs[order[i]];
      let count = 0;
      for (; i < pairs.length && pairs[order[i]] === pair; i++) {
        count += countWeight(windows.counts[Math.floor(order[i] / orders.length)]);
      }
      const context = Math.floor(pair / outputClasses);
      targets[entries] = pair - context * outputClasses;
      counts[entries++] = count;
      starts[context + 1] = entries;
    }
    const sum = total.reduce((a, b) => a + b, 0);
    return new NgramTable({
      orders: Int32Array.from(orders),
      general: Float32Array.from(total, (count) => Math.log(count / sum)),
      slots: contexts.slots,
      keys: contexts.keys.slice(0, contexts.length * 2),
      starts,
      targets: targets.slice(0, entries),
      counts: counts.slice(0, entries),
    });
  }
}

/** What `count` occurrences of one window are worth. */
export function countWeight(count: number): number {
  return Math.sqrt(count);
}

/** Positions of `keys` in ascending order of the keys. */
function sortedIndex(keys: Float64Array): Uint32Array {
  return Uint32Array.from(keys, (_, i) => i).sort((a, b) => keys[a] - keys[b]);
}

/** Evaluates a table; holds scratch memory, so each thread needs its own. */
export class NgramReader {
  readonly #parts: NgramParts;
  readonly #hashes: Int32Array;
  /** Sum over contexts for each candidate; only entries of `candidates` are valid. */
  readonly #sums: Float64Array;
  readonly #isCandidate: Uint8Array;
  /** Targets that some context of the window has seen. */
  readonly candidates: number[] = [];
  /** Weight that is left for the distribution without context. */
  backoff = 1;

  constructor(table: NgramTable) {
    this.#parts = table.parts;
    this.#hashes = new Int32Array(table.parts.orders.length * 2);
    this.#sums = new Float64Array(table.outputClasses);
    this.#isCandidate = new Uint8Array(table.outputClasses);
  }

  /**
   * Reads the contexts of one window, for `probability` and `writeLogits`.
   *
   * @param end  index in `symbols` after the window's newest symbol
   * @param leaveOut  target of a training window whose own weight is to be left out, or -1
   * @param ownWeight  that weight
   */
  read(symbols: Int32Array, end: number, leaveOut = -1, ownWeight = 0): void {
    const { orders, starts, targets, counts } = this.#parts;
    for (const candidate of this.candidates) this.#isCandidate[candidate] = 0;
    this.candidates.length = 0;
    hashContexts(symbols, end, orders, this.#hashes);
    let weight = 1;
    for (let k = orders.length - 1; k >= 0; k--) {
      const context = this.#find(this.#hashes[2 * k], this.#hashes[2 * k + 1]);
      if (context < 0) continue;
      const from = starts[context];
      const to = starts[context + 1];
      let sum = 0;
      let kinds = to - from;
      for (let entry = from; entry < to; entry++) {
        const rest = counts[entry] - (targets[entry] === leaveOut ? ownWeight : 0);
        if (rest < leastWeight) kinds--;
        else sum += rest;
      }
      if (kinds === 0) continue;
      const share = weight / (sum + kinds);
      for (let entry = from; entry < to; entry++) {
        const target = targets[entry];
        const count = counts[entry] - (target === leaveOut ? ownWeight : 0);
        if (count < leastWeight) continue;
        if (this.#isCandidate[target] === 0) {
          this.#isCandidate[target] = 1;
          this.#sums[target] = 0;
          this.candidates.push(target);
        }
        this.#sums[target] += share * count;
      }
      weight = share * kinds;
    }
    this.backoff = weight;
  }

  /** P(target | window) of the window read last. */
  probability(target: number): number {
    const seen = this.#isCandidate[target] === 1 ? this.#sums[target] : 0;
    return seen + this.backoff * Math.exp(this.#parts.general[target]);
  }

  /** Writes log P of every target to `row` from `offset` on. */
  writeLogits(row: Float32Array, offset: number): void {
    const { general } = this.#parts;
    const add = Math.log(this.backoff);
    for (let i = 0; i < general.length; i++) row[offset + i] = general[i] + add;
    for (const candidate of this.candidates) {
      row[offset + candidate] = Math.log(this.probability(candidate));
    }
  }

  #find(high: number, low: number): number {
    const { slots, keys } = this.#parts;
    const mask = slots.length - 1;
    let slot = low & mask;
    for (;;) {
      const context = slots[slot] - 1;
      if (context < 0) return -1;
      if (keys[2 * context] === high && keys[2 * context + 1] === low) return context;
      slot = (slot + 1) & mask;
    }
  }
}

/** Numbers contexts in the order of their appearance. */
class ContextIndex {
  length = 0;
  slots: Int32Array<ArrayBuffer>;
  keys: Int32Array<ArrayBuffer>;

  constructor(expected: number) {
    let size = 1024;
    while (size < expected * 2) size *= 2;
    this.slots = new Int32Array(size);
    this.keys = new Int32Array(size);
  }

  intern(high: number, low: number): number {
    const { slots, keys } = this;
    const mask = slots.length - 1;
    let slot = low & mask;
    for (;;) {
      const context = slots[slot] - 1;
      if (context < 0) break;
      if (keys[2 * context] === high && keys[2 * context + 1] === low) return context;
      slot = (slot + 1) & mask;
    }
    const context = this.length++;
    slots[slot] = context + 1;
    keys[2 * context] = high;
    keys[2 * context + 1] = low;
    if (this.length * 2 >= slots.length) this.#grow();
    return context;
  }

  #grow(): void {
    const keys = new Int32Array(this.keys.length * 2);
    keys.set(this.keys);
    const slots = new Int32Array(this.slots.length * 2);
    const mask = slots.length - 1;
    for (let context = 0; context < this.length; context++) {
      let slot = keys[2 * context + 1] & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = context + 1;
    }
    this.keys = keys;
    this.slots = slots;
  }
}

/** Two hashes of the last 1, 2, 3, ... symbols before `end`, for each order; the order is hashed in. */
function hashContexts(
  symbols: Int32Array,
  end: number,
  orders: ArrayLike<number>,
  hashes: Int32Array,
): void {
  let a = 0;
  let b = 0x1b873593;
  let length = 0;
  for (let k = 0; k < orders.length; k++) {
    for (; length < orders[k]; length++) {
      const value = hashOfSymbol(symbols[end - 1 - length]);
      a = (Math.imul(a, rollingFactor) + value) | 0;
      b = Math.imul(b ^ value, 0x5bd1e995);
      b ^= b >>> 15;
    }
    hashes[2 * k] = Math.imul(a ^ length, 0x85ebca6b);
    const mixed = Math.imul(b ^ length ^ (a >>> 16), 0xc2b2ae35);
    hashes[2 * k + 1] = mixed ^ (mixed >>> 15);
  }
}
