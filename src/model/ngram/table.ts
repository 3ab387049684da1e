import type { WindowSet } from '../../sequences/windows.ts';
import {
  discountOf,
  type Smoothing,
  type SmoothingRule,
  smoothingRule,
  smoothings,
} from './smoothing.ts';
import { type ContextTree, growTree, hashContexts } from './tree.ts';

/** Lengths of contexts, in symbols, up to the order; the order itself is added. */
const contextLengths = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768];

export interface NgramOptions {
  readonly smoothing: Smoothing;
  /** Longest context, in symbols; at most the length of the windows. */
  readonly order: number;
  /** Fixes what is drawn without smoothing. */
  readonly seed: number;
}

/** The arrays of a table, for files and for sharing between threads. */
export interface NgramParts extends ContextTree {
  /** Index into `smoothings`, number of output classes, seed. */
  readonly settings: Int32Array;
}

/** How often each target followed each context of training, and how that becomes probabilities. */
export class NgramTable {
  readonly parts: NgramParts;
  readonly smoothing: Smoothing;
  readonly rule: SmoothingRule;
  readonly outputClasses: number;
  readonly seed: number;

  constructor(parts: NgramParts) {
    this.parts = parts;
    this.smoothing = smoothings[parts.settings[0]];
    this.outputClasses = parts.settings[1];
    this.seed = parts.settings[2];
    this.rule = smoothingRule(parts, this.smoothing);
  }

  /** Counts contexts of all lengths (without smoothing: of one length). */
  static fit(
    windows: WindowSet,
    outputClasses: number,
    {
      smoothing = 'witten-bell',
      order = windows.windowLength,
      seed = 1,
    }: Partial<NgramOptions> = {},
  ): NgramTable {
    const lengths = contextLengths.filter((length) => length < order);
    const tree = growTree(windows, outputClasses, {
      lengths: smoothing === 'none' ? [order] : [...lengths, order],
      counting: smoothing === 'kneser-ney' ? 'continuations' : 'occurrences',
      weight: (count) => weightOf(count, smoothing),
    });
    const settings = Int32Array.of(smoothings.indexOf(smoothing), outputClasses, seed);
    return new NgramTable({ ...tree, settings });
  }

  /** What `count` occurrences of a window weigh in the table. */
  weightOf(count: number): number {
    return weightOf(count, this.smoothing);
  }
}

/**
 * With Witten and Bell, what a program can do matters more than how long it did it, so that weights
 * grow slowly. Kneser and Ney look at that by themselves: shorter contexts count kinds of contexts.
 */
function weightOf(count: number, smoothing: Smoothing): number {
  return smoothing === 'witten-bell' ? Math.sqrt(count) : count;
}

/** Finds contexts in a table by the hashes of their symbols. */
export class ContextIndex {
  readonly #lengths: Int32Array;
  readonly #hashes: Int32Array;
  /** Pairs of second hash and context by slot, found by the first hash; context 0 = free. */
  readonly #slots: Int32Array;

  constructor({ lengths, levels, keys }: ContextTree) {
    this.#lengths = lengths;
    this.#hashes = new Int32Array(lengths.length * 2);
    const contexts = levels[levels.length - 1];
    let size = 1024;
    while (size < contexts * 2) size *= 2;
    const slots = new Int32Array(size * 2);
    for (let context = 1; context < contexts; context++) {
      let slot = keys[2 * context] & (size - 1);
      while (slots[2 * slot + 1] !== 0) slot = (slot + 1) & (size - 1);
      slots[2 * slot] = keys[2 * context + 1];
      slots[2 * slot + 1] = context;
    }
    this.#slots = slots;
  }

  /**
   * A context that training knows has all its shorter ones, so the longest is found by halving.
   *
   * @param end  index in `symbols` after the newest symbol
   * @returns the longest known context, 0 = the root
   */
  find(symbols: Int32Array, end: number): number {
    hashContexts(symbols, end, this.#lengths, this.#hashes);
    const slots = this.#slots;
    const mask = slots.length / 2 - 1;
    let found = 0;
    let low = 1;
    let high = this.#lengths.length - 1;
    // Most windows of a program that does what it has always done are known whole.
    let level = high;
    while (low <= high) {
      const key = this.#hashes[2 * level + 1];
      let slot = this.#hashes[2 * level] & mask;
      while (slots[2 * slot + 1] !== 0 && slots[2 * slot] !== key) slot = (slot + 1) & mask;
      const context = slots[2 * slot + 1];
      if (context === 0) high = level - 1;
      else {
        found = context;
        low = level + 1;
      }
      level = (low + high) >>> 1;
    }
    return found;
  }
}

/**
 * The whole distribution of one window at a time, for the network that starts from it; training
 * windows can be left out of their own prediction. Holds scratch memory, so each thread needs its own.
 */
export class NgramReader {
  readonly #table: NgramTable;
  readonly #index: ContextIndex;
  /** Level of each context. */
  readonly #levelOf: Uint8Array;
  /** log P(target) without any context. */
  readonly #general: Float64Array;
  /** Sum over contexts for each candidate; only entries of `candidates` are valid. */
  readonly #sums: Float64Array;
  readonly #isCandidate: Uint8Array;
  /** Targets that some context of the window has seen, the empty one aside. */
  readonly candidates: number[] = [];
  /** Weight that is left for the distribution without context. */
  backoff = 1;

  constructor(table: NgramTable) {
    const { levels, parents } = table.parts;
    this.#table = table;
    this.#index = new ContextIndex(table.parts);
    this.#levelOf = new Uint8Array(parents.length);
    for (let level = 1; level + 1 < levels.length; level++) {
      this.#levelOf.fill(level, levels[level], levels[level + 1]);
    }
    this.#general = generalDistribution(table).map(Math.log);
    this.#sums = new Float64Array(table.outputClasses);
    this.#isCandidate = new Uint8Array(table.outputClasses);
  }

  /**
   * Reads the contexts of one window, for `probability` and `writeLogits`.
   *
   * Leaving a window out is exact but for the discounts and the distribution without context, which
   * stay as they are.
   *
   * @param end  index in `symbols` after the window's newest symbol
   * @param leaveOut  target of a training window whose own weight is to be left out, or -1
   * @param ownWeight  that weight; see `NgramTable.weightOf`
   */
  read(symbols: Int32Array, end: number, leaveOut = -1, ownWeight = 0): void {
    const { parts, rule, smoothing } = this.#table;
    const { starts, targets, counts, parents } = parts;
    for (const candidate of this.candidates) this.#isCandidate[candidate] = 0;
    this.candidates.length = 0;
    let weight = 1;
    // What the window that is left out adds to its target's entry, at the level at hand.
    let own = ownWeight;
    for (let context = this.#index.find(symbols, end); context > 0; context = parents[context]) {
      const discounts = rule.discounts[this.#levelOf[context]];
      const from = starts[context];
      const to = starts[context + 1];
      let sum = 0;
      let given = 0;
      let kinds = 0;
      let isGone = false;
      for (let entry = from; entry < to; entry++) {
        let count = counts[entry];
        if (targets[entry] === leaveOut) {
          count -= own;
          // One occurrence weighs 1; less than half of it is rounding.
          isGone = count < 0.5;
          if (isGone) continue;
        }
        sum += count;
        given += discountOf(count, discounts);
        kinds++;
      }
      if (kinds > 0) {
        const share = weight / (sum + rule.perKind * kinds);
        for (let entry = from; entry < to; entry++) {
          const target = targets[entry];
          if (target === leaveOut && isGone) continue;
          const count = counts[entry] - (target === leaveOut ? own : 0);
          if (this.#isCandidate[target] === 0) {
            this.#isCandidate[target] = 1;
            this.#sums[target] = 0;
            this.candidates.push(target);
          }
          this.#sums[target] += share * (count - discountOf(count, discounts));
        }
        weight = share * (given + rule.perKind * kinds);
      }
      // An entry of a shorter context counts the longer ones that have it.
      if (smoothing === 'kneser-ney') own = isGone ? 1 : 0;
    }
    this.backoff = weight;
  }

  /** P(target | window) of the window read last. */
  probability(target: number): number {
    const seen = this.#isCandidate[target] === 1 ? this.#sums[target] : 0;
    return seen + this.backoff * Math.exp(this.#general[target]);
  }

  /** Writes log P of every target to `row` from `offset` on. */
  writeLogits(row: Float32Array, offset: number): void {
    const general = this.#general;
    const add = Math.log(this.backoff);
    for (let i = 0; i < general.length; i++) row[offset + i] = general[i] + add;
    for (const candidate of this.candidates) {
      row[offset + candidate] = Math.log(this.probability(candidate));
    }
  }
}

/** P(target) at the root. */
function generalDistribution({ parts, rule, outputClasses }: NgramTable): Float64Array {
  const { starts, targets, counts } = parts;
  let sum = 0;
  let given = 0;
  for (let entry = 0; entry < starts[1]; entry++) {
    sum += counts[entry] + rule.perKind;
    given += rule.perKind + discountOf(counts[entry], rule.discounts[0]);
  }
  const p = new Float64Array(outputClasses).fill(given / sum / outputClasses);
  for (let entry = 0; entry < starts[1]; entry++) {
    p[targets[entry]] += (counts[entry] - discountOf(counts[entry], rule.discounts[0])) / sum;
  }
  return p;
}
