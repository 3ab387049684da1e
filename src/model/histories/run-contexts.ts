import { enlarged } from '../../base/bytes/typed-array.ts';
import { historyLevels } from '../../sequences/histories/levels.ts';
import { ContextIndex, contextSize, roomAfter } from './context-index.ts';
import { type ContextTable, Entry, entrySize, headSize, Trained } from './context-table.ts';

const levels = historyLevels.length;
const parents = Int32Array.from(historyLevels, ({ parent }) => parent);

/** What a run has shown counts no more than so often. */
export const mostCounts = 8;

/** No training run is left out. */
export const noRun = -2;

/** Contexts that a run keeps, so that memory is bounded; those that come later are not learned. */
export const mostContexts: number = 1 << 21;

/** Room for so many is made at once. */
const usualContexts = 1 << 14;

/** Integers of a context of a run behind its hash. */
export const Shown = {
  /** The context of training; -1 = there is none. */
  trained: 2,
  /** Candidate to which the run went from there the last time; -1 = it never did. */
  last: 3,
  /** Training runs and own events (each target's at most `mostCounts`) of all candidates. */
  sum: 4,
  /** Where the cells are, when there are several: their number, how many there is room for, the first; 0 = nowhere. */
  cells: 5,
  /** The only cell, as `Cell`; its candidate is -1 where there is none. */
  cell: 6,
} as const;

/** A candidate, and what was seen of it: training runs, shifted by `ownBits`, over own events. */
export const Cell = { candidate: 0, seen: 1 } as const;
export const cellSize = 2;
export const ownBits = 4;
export const ownMask = 15;

/**
 * The contexts of one run's events: what training saw there, copied when the run first comes there, and what
 * the run has shown since. So an event is told from one table, which is small.
 *
 * Targets that came at a place, in training or in this run, are its *candidates*, numbered for good in the
 * order in which they became known: those of training first. The place's own cells hold targets, in that
 * order; the cells of all longer contexts hold candidates.
 *
 * For each event: `come` or `comeKnown`, then look, then `remember`.
 */
export class RunContexts extends ContextIndex {
  readonly #training: ContextTable;
  #leftOut: number = noRun;
  readonly #most: number;
  /** Own context + 1 by that of training, where all are known. */
  #ownOf: Int32Array | undefined;
  /** Contexts of the event by level; -1 = the past is not known so far. */
  readonly at: Int32Array = new Int32Array(levels).fill(-1);
  /** Cells of contexts that have several. */
  cells: Int32Array<ArrayBuffer> = new Int32Array(4096);
  #cellsEnd = 1;
  /** Candidate + 1 by target. */
  #slot: Int32Array<ArrayBuffer>;
  /** Contexts that there were before the event. */
  #before = 0;
  /** Where contexts and cells end without those of the event, where there is no more room to keep them. */
  #keptLength = -1;
  #keptCells = 0;

  /**
   * @param places  of training
   * @param most  contexts that are kept
   */
  constructor(training: ContextTable, places: number, most: number = mostContexts) {
    super();
    this.reserve(Math.min(most, usualContexts));
    this.#most = most;
    this.#training = training;
    this.#slot = new Int32Array(places + 1024);
  }

  /**
   * Forgets the run before; its room is used again.
   *
   * @param leftOut  mark of the training run whose own counts are taken out
   */
  begin(leftOut: number = noRun): void {
    this.#forget();
    this.#dropWhatIsTooMuch();
    this.at.fill(-1);
    const ownOf = this.#ownOf;
    for (let context = 0; ownOf !== undefined && context < this.length; context++) {
      const trained = this.contexts[context * contextSize + Shown.trained];
      if (trained >= 0) ownOf[trained] = 0;
    }
    this.clear();
    this.#cellsEnd = 1;
    this.#leftOut = leftOut;
    if (leftOut !== noRun) this.#ownOf ??= new Int32Array(this.#training.length);
  }

  /** Candidates at the place of the event. */
  get candidates(): number {
    return this.at[0] < 0 ? 0 : this.kindsOf(this.at[0]);
  }

  /** Context of training that is the instruction of the event; -1 = training never ran it. */
  get instruction(): number {
    return this.at[0] < 0 ? -1 : this.contexts[this.at[0] * contextSize + Shown.trained];
  }

  /** @returns the candidate that a target is at the place of the event, or -1 */
  candidateOf(target: number): number {
    return target < this.#slot.length ? this.#slot[target] - 1 : -1;
  }

  /** @returns how many candidates came in a context */
  kindsOf(context: number): number {
    const at = context * contextSize;
    const cells = this.contexts[at + Shown.cells];
    if (cells > 0) return this.cells[cells];
    return this.contexts[at + Shown.cell] < 0 ? 0 : 1;
  }

  /** The next event. @param hashes  `[levels, 2]` from `from` on */
  come(hashes: Int32Array, from: number): void {
    this.#forget();
    const { at } = this;
    for (let level = 0; level < levels; level++) {
      const low = hashes[from + 2 * level];
      const high = hashes[from + 2 * level + 1];
      const parent = parents[level] < 0 ? -1 : at[parents[level]];
      const isKnown = (low !== 0 || high !== 0) && (parent >= 0 || level === 0);
      at[level] = isKnown ? this.#enter(low, high, level, parent) : -1;
      if (level === 0 && isKnown) this.#setSlots(false);
    }
  }

  /**
   * The next event of the run that is left out.
   *
   * @param contexts  `[levels]` from `from` on: in training; -1 = the past is not known so far
   */
  comeKnown(contexts: Int32Array, from: number): void {
    this.#forget();
    const { at } = this;
    const ownOf = this.#ownOf ?? none;
    for (let level = 0; level < levels; level++) {
      const trained = contexts[from + level];
      let context = -1;
      if (trained >= 0) {
        context = ownOf[trained] - 1;
        if (context < 0) {
          context = this.append(0, 0);
          this.#fill(context, level, trained);
          if (this.#keptLength < 0) ownOf[trained] = context + 1;
        }
      }
      at[level] = context;
      if (level === 0 && context >= 0) this.#setSlots(false);
    }
  }

  /** Takes in what came after the event. */
  remember(target: number): void {
    let candidate = this.candidateOf(target);
    if (candidate < 0) candidate = this.candidates;
    this.#dropWhatIsTooMuch();
    for (let level = 0; level < levels; level++) {
      const context = this.at[level];
      if (context >= 0) this.#count(context, level === 0 ? target : candidate, candidate);
    }
  }

  /** @returns the context with this hash, made when the run has not been there */
  #enter(low: number, high: number, level: number, parent: number): number {
    // What has just been made leads nowhere yet.
    const known = parent >= this.#before ? -1 : this.find(low, high, parent);
    if (known >= 0) return known;
    const training = this.#training;
    // Who never saw the shorter context never saw the longer one.
    const shorter = parent < 0 ? -1 : this.contexts[parent * contextSize + Shown.trained];
    const trained = parent >= 0 && shorter < 0 ? -1 : training.find(low, high, shorter);
    const context = this.#keptLength < 0 ? this.make(low, high, parent) : this.append(low, high);
    this.#fill(context, level, trained);
    return context;
  }

  /** Copies what training saw. @param trained  context of training; -1 = none */
  #fill(context: number, level: number, trained: number): void {
    const { contexts } = this;
    const at = context * contextSize;
    contexts[at + Shown.trained] = trained;
    contexts[at + Shown.last] = -1;
    contexts[at + Shown.sum] = 0;
    contexts[at + Shown.cells] = 0;
    contexts[at + Shown.cell] = -1;
    if (trained < 0) return;
    const training = this.#training;
    const first = trained * contextSize + Trained.youngest;
    this.#copy(at, level, training.contexts, first);
    const others = training.contexts[first + entrySize];
    if (others === 0) return;
    const { entries } = training;
    const begin = others + headSize;
    let entry = begin + entrySize * (entries[others] - 1);
    this.#reserveCells(at, entries[others] + 1);
    for (; entry >= begin; entry -= entrySize) this.#copy(at, level, entries, entry);
  }

  #copy(at: number, level: number, list: Int32Array, entry: number): void {
    const isOut = list[entry + Entry.mark] === this.#leftOut;
    const runs = list[entry + Entry.count] - (isOut ? 1 : 0);
    const target = list[entry];
    // A target that never came at this place stands in damaged tables only.
    const candidate = level === 0 ? target : this.candidateOf(target);
    if (runs <= 0 || candidate < 0) return;
    this.#addCell(at, candidate, runs << ownBits);
    this.contexts[at + Shown.sum] += runs;
  }

  /** Counts an own event. @param name  what the context's cells call the candidate */
  #count(context: number, name: number, candidate: number): void {
    const { contexts } = this;
    const at = context * contextSize;
    contexts[at + Shown.last] = candidate;
    const several = contexts[at + Shown.cells];
    const list = several > 0 ? this.cells : contexts;
    let cell = several > 0 ? several + headSize : at + Shown.cell;
    const end = cell + cellSize * (several > 0 ? list[several] : 1);
    for (; cell < end; cell += cellSize) {
      if (list[cell] !== name) continue;
      if ((list[cell + Cell.seen] & ownMask) === mostCounts) return;
      list[cell + Cell.seen]++;
      contexts[at + Shown.sum]++;
      return;
    }
    this.#addCell(at, name, 1);
    contexts[at + Shown.sum]++;
  }

  #addCell(at: number, name: number, seen: number): void {
    const { contexts } = this;
    let several = contexts[at + Shown.cells];
    if (several === 0) {
      if (contexts[at + Shown.cell] < 0) {
        contexts[at + Shown.cell] = name;
        contexts[at + Shown.cell + Cell.seen] = seen;
        return;
      }
      this.#reserveCells(at, 2);
      several = contexts[at + Shown.cells];
    } else if (this.cells[several] === this.cells[several + 1]) {
      this.#reserveCells(at, 2 * this.cells[several]);
      several = contexts[at + Shown.cells];
    }
    const { cells } = this;
    const to = several + headSize + cellSize * cells[several]++;
    cells[to] = name;
    cells[to + Cell.seen] = seen;
  }

  /** Moves the cells of a context to where there is room for so many. */
  #reserveCells(at: number, room: number): void {
    const { contexts } = this;
    const old = contexts[at + Shown.cells];
    const to = this.#cellsEnd;
    this.#cellsEnd += headSize + room * cellSize;
    while (this.#cellsEnd > this.cells.length) {
      this.cells = enlarged(this.cells, roomAfter(this.cells.length));
    }
    const { cells } = this;
    if (old > 0) cells.copyWithin(to, old, old + headSize + cellSize * cells[old]);
    else {
      cells[to] = contexts[at + Shown.cell] < 0 ? 0 : 1;
      cells[to + headSize] = contexts[at + Shown.cell];
      cells[to + headSize + Cell.seen] = contexts[at + Shown.cell + Cell.seen];
    }
    cells[to + 1] = room;
    contexts[at + Shown.cells] = to;
  }

  /** Sets, or clears, where the targets of the event's place are found. */
  #setSlots(isClear: boolean): void {
    const { contexts, cells } = this;
    const at = this.at[0] * contextSize;
    const several = contexts[at + Shown.cells];
    if (several === 0) {
      if (contexts[at + Shown.cell] >= 0) this.#setSlot(contexts[at + Shown.cell], isClear ? 0 : 1);
      return;
    }
    for (let i = 0; i < cells[several]; i++) {
      this.#setSlot(cells[several + headSize + cellSize * i], isClear ? 0 : i + 1);
    }
  }

  #setSlot(target: number, value: number): void {
    if (target >= this.#slot.length) this.#slot = enlarged(this.#slot, 2 * target);
    this.#slot[target] = value;
  }

  /** Ends with the event before. */
  #forget(): void {
    if (this.at[0] >= 0) this.#setSlots(true);
    this.#dropWhatIsTooMuch();
    this.#before = this.length;
    if (this.length < this.#most) return;
    this.#keptLength = this.length;
    this.#keptCells = this.#cellsEnd;
  }

  /** Drops the contexts that were made for this event only. */
  #dropWhatIsTooMuch(): void {
    if (this.#keptLength < 0) return;
    if (this.at[0] >= this.#keptLength) this.#setSlots(true);
    for (let level = 0; level < levels; level++) {
      if (this.at[level] >= this.#keptLength) this.at[level] = -1;
    }
    this.#cellsEnd = this.#keptCells;
    this.length = this.#keptLength;
    this.#keptLength = -1;
  }
}

const none = new Int32Array(0);
