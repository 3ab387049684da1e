import { enlarged } from '../../base/bytes/typed-array.ts';
import { deepestLevels, historyLevels } from '../../sequences/histories/levels.ts';
import { contextSize } from './context-index.ts';
import { headSize } from './context-table.ts';
import { Cell, cellSize, ownBits, ownMask, type RunContexts, Shown } from './run-contexts.ts';

const levels = historyLevels.length;

export const histories: number = deepestLevels.length;

/** Levels of each history, shorter ones first: the instruction, the block, then the history itself. */
export const chains: readonly Int32Array[] = deepestLevels.map((deepest) => {
  const chain: number[] = [];
  for (let level = deepest; level >= 0; level = historyLevels[level].parent) chain.unshift(level);
  return Int32Array.from(chain);
});

/**
 * What training and a run have seen in the contexts of one event, as far as it tells candidates apart: for
 * each history the longest context that anybody met, and for each candidate the longest that led to it.
 * Overwritten by the next `read`.
 */
export class EventView {
  candidates = 0;
  /** Candidates that training saw at this place: the first ones. */
  trainedCandidates = 0;
  /** By candidate. */
  target: Int32Array<ArrayBuffer> = new Int32Array(64);
  /** By history: step in its chain of the longest context that was met. */
  readonly deepest: Int32Array = new Int32Array(histories);
  /** `[candidates, histories]`: step of the longest context that led to the candidate ... */
  step: Int32Array<ArrayBuffer> = new Int32Array(64 * histories);
  /** ... and how often it did there, as `Cell.seen`. */
  seen: Int32Array<ArrayBuffer> = new Int32Array(64 * histories);
  /** By candidate: how often it came at this place, as `Cell.seen`. */
  seenHere: Int32Array<ArrayBuffer> = new Int32Array(64);

  // Of levels that were looked into.
  /** How many candidates came there, and runs and events of all of them. */
  readonly kinds: Int32Array = new Int32Array(levels);
  readonly sum: Int32Array = new Int32Array(levels);
  /** Most runs of any candidate, one more where this run went there, too. */
  readonly most: Int32Array = new Int32Array(levels);
  /** Candidate to which this run went from there the last time; -1 = none. */
  readonly last: Int32Array = new Int32Array(levels);

  /** @param run  at an event */
  read(run: RunContexts): void {
    this.kinds.fill(-1);
    this.#readPlace(run);
    for (let history = 0; history < histories; history++) {
      const chain = chains[history];
      let deepest = 0;
      for (let step = 1; step < chain.length; step++) {
        const context = run.at[chain[step]];
        if (context >= 0 && run.kindsOf(context) > 0) deepest = step;
        // The instruction may be known where the block that ends in it is not; not so further on.
        else if (step > 1) break;
      }
      this.deepest[history] = deepest;
      this.#place(run, history, chain, deepest);
    }
  }

  /** The cells of the place are the candidates. */
  #readPlace(run: RunContexts): void {
    const { candidates } = run;
    this.candidates = candidates;
    if (candidates > this.target.length) this.#grow(2 * candidates);
    this.trainedCandidates = 0;
    if (candidates === 0) {
      this.kinds[0] = 0;
      this.most[0] = 0;
      return;
    }
    const list = this.#look(run, 0);
    for (let i = 0, cell = this.#cell; i < candidates; i++, cell += cellSize) {
      this.target[i] = list[cell + Cell.candidate];
      const seen = list[cell + Cell.seen];
      this.seenHere[i] = seen;
      if (seen >= 1 << ownBits) this.trainedCandidates++;
    }
  }

  /** Finds the longest context of each candidate in a history. */
  #place(run: RunContexts, history: number, chain: Int32Array, deepest: number): void {
    const { step, seen, candidates } = this;
    for (let i = 0; i < candidates; i++) step[i * histories + history] = -1;
    let left = candidates;
    for (let depth = deepest; depth > 0 && (left > 0 || depth === deepest); depth--) {
      const level = chain[depth];
      if (run.at[level] < 0) continue;
      const list = this.#look(run, level);
      const end = this.#cell + cellSize * this.kinds[level];
      for (let cell = this.#cell; cell < end; cell += cellSize) {
        const at = list[cell + Cell.candidate] * histories + history;
        if (step[at] >= 0) continue;
        step[at] = depth;
        seen[at] = list[cell + Cell.seen];
        left--;
      }
    }
    for (let i = 0; i < candidates && left > 0; i++) {
      const at = i * histories + history;
      if (step[at] >= 0) continue;
      step[at] = 0;
      seen[at] = this.seenHere[i];
    }
  }

  /** Set by `#look`: where the cells of the level begin in the array that it returns. */
  #cell = 0;

  /** @param level  whose context is known @returns the array that holds its cells */
  #look(run: RunContexts, level: number): Int32Array {
    const context = run.at[level];
    const at = context * contextSize;
    const several = run.contexts[at + Shown.cells];
    const list = several > 0 ? run.cells : run.contexts;
    this.#cell = several > 0 ? several + headSize : at + Shown.cell;
    if (this.kinds[level] >= 0) return list;
    this.kinds[level] = run.kindsOf(context);
    this.sum[level] = run.contexts[at + Shown.sum];
    this.last[level] = run.contexts[at + Shown.last];
    let most = 0;
    for (let i = 0, cell = this.#cell; i < this.kinds[level]; i++, cell += cellSize) {
      const seen = list[cell + Cell.seen];
      const runs = (seen >> ownBits) + ((seen & ownMask) > 0 ? 1 : 0);
      if (runs > most) most = runs;
    }
    this.most[level] = most;
    return list;
  }

  #grow(room: number): void {
    this.target = enlarged(this.target, room);
    this.seenHere = enlarged(this.seenHere, room);
    this.step = enlarged(this.step, room * histories);
    this.seen = enlarged(this.seen, room * histories);
  }
}
