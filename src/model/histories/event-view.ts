import { historyLevels } from '../../sequences/histories/levels.ts';
import type { ContextTable } from './context-table.ts';

const levels = historyLevels.length;
const parents = Int32Array.from(historyLevels, ({ parent }) => parent);

/** What this run has shown counts no more than so often. */
export const mostCounts = 8;

/**
 * What training and this run have seen in the contexts of one event: for each level the targets that came
 * there and how often. Overwritten by the next `read`.
 */
export class EventView {
  readonly #training: ContextTable;
  /** Contexts by level; -1 = not seen, or the past is not known so far. */
  readonly trained: Int32Array = new Int32Array(levels);
  readonly own: Int32Array = new Int32Array(levels);
  /** Targets that came at this place, in no order that matters. */
  readonly candidates: number[] = [];
  /** Candidate by target, plus one. */
  #slot: Int32Array;
  /** First cell of each level; the cells of a level have different candidates. */
  readonly from: Int32Array = new Int32Array(levels + 1);
  /** Candidate of each cell, its runs in training, and its events in this run (at most `mostCounts`). */
  candidate: Int32Array = new Int32Array(1024);
  trainedCount: Int32Array = new Int32Array(1024);
  ownCount: Uint8Array = new Uint8Array(1024);
  /** Of each level: sums of both, and how many targets have any. */
  readonly trainedSum: Int32Array = new Int32Array(levels);
  readonly ownSum: Int32Array = new Int32Array(levels);
  readonly kinds: Int32Array = new Int32Array(levels);
  /** Most runs and events of any target. */
  readonly most: Int32Array = new Int32Array(levels);
  /** Candidate to which this run went from there the last time; -1 = none. */
  readonly last: Int32Array = new Int32Array(levels);

  constructor(training: ContextTable, places: number) {
    this.#training = training;
    this.#slot = new Int32Array(places + 1024);
  }

  /** @returns the candidate that a target is, or -1 */
  candidateOf(target: number): number {
    return target < this.#slot.length ? this.#slot[target] - 1 : -1;
  }

  /**
   * @param hashes  `[levels, 2]` from `at` on
   * @param own  what this run has seen so far
   * @param known  contexts of training by level, from half of `at` on, where they are known already
   * @param leftOut  stamp of the training run that is judged itself: its counts are taken out; -2 = none
   */
  read(
    hashes: Int32Array,
    at: number,
    own: ContextTable,
    leftOut: number,
    known?: Int32Array,
  ): void {
    const { candidates } = this;
    for (const target of candidates) this.#slot[target] = 0;
    candidates.length = 0;
    let cells = 0;
    for (let level = 0; level < levels; level++) {
      this.from[level] = cells;
      this.trainedSum[level] = 0;
      this.ownSum[level] = 0;
      this.last[level] = -1;
      const low = hashes[at + 2 * level];
      const high = hashes[at + 2 * level + 1];
      const parent = parents[level];
      const isKnown = low !== 0 || high !== 0;
      // Who never saw the shorter context never saw the longer one.
      const mayTrained = isKnown && (parent < 0 || this.trained[parent] >= 0);
      const mayOwn = isKnown && (parent < 0 || this.own[parent] >= 0);
      const trained =
        known !== undefined
          ? known[at / 2 + level]
          : mayTrained
            ? this.#training.find(low, high)
            : -1;
      const context = mayOwn ? own.find(low, high) : -1;
      this.trained[level] = trained;
      this.own[level] = context;
      if (trained >= 0) cells = this.#addTrained(level, trained, leftOut, cells);
      if (context >= 0) cells = this.#addOwn(level, own, context, cells);
      this.kinds[level] = cells - this.from[level];
      let most = 0;
      for (let cell = this.from[level]; cell < cells; cell++) {
        most = Math.max(most, this.trainedCount[cell] + (this.ownCount[cell] > 0 ? 1 : 0));
      }
      this.most[level] = most;
    }
    this.from[levels] = cells;
  }

  #addTrained(level: number, context: number, leftOut: number, cells: number): number {
    const { head, next, target, targetRuns, entryStamp } = this.#training;
    let count = cells;
    let sum = 0;
    for (let entry = head[context]; entry >= 0; entry = next[entry]) {
      const seen = targetRuns[entry] - (entryStamp[entry] === leftOut ? 1 : 0);
      if (seen === 0) continue;
      if (count === this.candidate.length) this.#grow();
      this.candidate[count] = this.#candidate(target[entry]);
      this.trainedCount[count] = seen;
      this.ownCount[count++] = 0;
      sum += seen;
    }
    this.trainedSum[level] = sum;
    return count;
  }

  #addOwn(level: number, own: ContextTable, context: number, cells: number): number {
    const { head, next, target, targetRuns } = own;
    const first = this.from[level];
    let count = cells;
    let sum = 0;
    for (let entry = head[context]; entry >= 0; entry = next[entry]) {
      const capped = Math.min(mostCounts, targetRuns[entry]);
      const candidate = this.#candidate(target[entry]);
      let cell = first;
      while (cell < cells && this.candidate[cell] !== candidate) cell++;
      if (cell === cells) {
        if (count === this.candidate.length) this.#grow();
        cell = count++;
        this.candidate[cell] = candidate;
        this.trainedCount[cell] = 0;
      }
      this.ownCount[cell] = capped;
      sum += capped;
    }
    this.ownSum[level] = sum;
    this.last[level] = this.candidateOf(own.last[context]);
    return count;
  }

  #candidate(target: number): number {
    if (target >= this.#slot.length) {
      const longer = new Int32Array(2 * target);
      longer.set(this.#slot);
      this.#slot = longer;
    }
    const known = this.#slot[target];
    if (known > 0) return known - 1;
    this.candidates.push(target);
    this.#slot[target] = this.candidates.length;
    return this.candidates.length - 1;
  }

  #grow(): void {
    const grow = <T extends Int32Array | Uint8Array>(array: T): T => {
      const longer = new (array.constructor as new (n: number) => T)(2 * array.length);
      longer.set(array);
      return longer;
    };
    this.candidate = grow(this.candidate);
    this.trainedCount = grow(this.trainedCount);
    this.ownCount = grow(this.ownCount);
  }
}
