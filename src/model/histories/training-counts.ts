import type { TransferEvents } from '../../sequences/histories/events.ts';
import { deepestLevels, historyLevels } from '../../sequences/histories/levels.ts';
import type { SymbolTable } from '../../sequences/symbol-table.ts';
import { contextSize } from './context-index.ts';
import { ContextTable, Entry, Trained } from './context-table.ts';
import { noveltyAt, noveltyCounts } from './novelty.ts';
import type { KnownEvents } from './run-judge.ts';

const levels = historyLevels.length;

/** Events of a training run without their hashes, which follow from their longest contexts. */
interface KeptRun {
  readonly length: number;
  /** `[length, histories]`; -1 = no context of that history. */
  readonly deepest: Int32Array;
  readonly target: Int32Array;
  readonly form: Uint8Array;
  readonly sort: Uint8Array;
  readonly count: Float64Array;
}

/** The contexts of all training runs, counted; and the runs themselves, to be judged without themselves. */
export class TrainingCounts {
  /** Blocks of training; targets are numbered as here until `settle`. */
  readonly #places: SymbolTable;
  readonly contexts: ContextTable = new ContextTable();
  readonly #runs: KeptRun[] = [];
  /** The last mark that was given. */
  #marks = 0;

  /** Targets of all places, by form of transfer and sort of target: see `Novelty`. */
  readonly pairs: Float64Array = new Float64Array(noveltyCounts);
  /** Transfers of all runs that were predicted. */
  transfers = 0;

  constructor(places: SymbolTable) {
    this.#places = places;
  }

  get runs(): number {
    return this.#runs.length;
  }

  /** @returns `[length, histories]`: the longest context of each event; -1 = none is known */
  add(events: TransferEvents): Int32Array {
    const run = this.#runs.length;
    this.transfers += events.transfers;
    const { contexts } = this;
    const placeOf = namePlaces(this.#places, events);
    const { length, hashes } = events;
    const target = events.target.map((place) => placeOf[place]);
    const deepest = new Int32Array(length * deepestLevels.length).fill(-1);
    const found = new Int32Array(levels);
    for (let event = 0; event < length; event++) {
      const came = target[event];
      for (let level = 0; level < levels; level++) {
        const at = 2 * (event * levels + level);
        const { parent } = historyLevels[level];
        const above = parent < 0 ? -1 : found[parent];
        found[level] = -1;
        if ((hashes[at] === 0 && hashes[at + 1] === 0) || (parent >= 0 && above < 0)) continue;
        const context = contexts.intern(hashes[at], hashes[at + 1], level, above);
        found[level] = context;
      }
      for (let history = 0; history < deepestLevels.length; history++) {
        let level = deepestLevels[history];
        while (level >= 0 && found[level] < 0) level = historyLevels[level].parent;
        const longest = level < 0 ? -1 : found[level];
        deepest[event * deepestLevels.length + history] = longest;
        if (this.#count(longest, came, run)) {
          this.pairs[noveltyAt(events.form[event], events.sort[event])]++;
        }
      }
    }
    const { form, sort, count } = events;
    this.#marks = this.#runs.push({ length, deepest, target, form, sort, count });
    return deepest;
  }

  /**
   * Counts a target in a context and all shorter ones, once in each run.
   *
   * @returns whether the place never led there before
   */
  #count(longest: number, target: number, run: number): boolean {
    const table = this.contexts;
    for (let context = longest; context >= 0; ) {
      const parent = table.contexts[context * contextSize + Trained.parent];
      if (!table.locate(context, target)) {
        table.add(context, target, 1, run);
        if (parent < 0) return true;
      } else {
        const { list, at } = table;
        // Where it was counted, it was in shorter contexts, too.
        if (list[at + Entry.mark] === run) return false;
        list[at + Entry.mark] = run;
        list[at + Entry.count]++;
      }
      context = parent;
    }
    return false;
  }

  /** Marks an entry of a context and of all shorter ones with the run that is left out. */
  #mark(longest: number, target: number): void {
    const table = this.contexts;
    const mark = this.#marks;
    for (let context = longest; context >= 0; ) {
      if (!table.locate(context, target)) return;
      const { list, at } = table;
      if (list[at + Entry.mark] === mark) return;
      list[at + Entry.mark] = mark;
      context = table.contexts[context * contextSize + Trained.parent];
    }
  }

  /**
   * Numbers targets by the classes of a vocabulary, once all runs are there.
   *
   * @param classOf  by symbol
   */
  settle(classOf: Int32Array): void {
    this.contexts.rename(classOf);
    for (const run of this.#runs) {
      for (let i = 0; i < run.length; i++) run.target[i] = classOf[run.target[i]];
    }
  }

  /** Marks what a run has, so that it can be taken out. @returns its events */
  leaveOut(run: number): KnownEvents {
    const { contexts } = this.contexts;
    // Another one each time: marks of runs tell the last one that was counted, and no more.
    this.#marks++;
    const { length, deepest, target, form, sort, count } = this.#runs[run];
    const found = new Int32Array(length * levels).fill(-1);
    for (let event = 0; event < length; event++) {
      for (let history = 0; history < deepestLevels.length; history++) {
        const longest = deepest[event * deepestLevels.length + history];
        this.#mark(longest, target[event]);
        for (let context = longest; context >= 0; ) {
          const level = contexts[context * contextSize + Trained.level];
          // What another history shares is there already, and what is shorter with it.
          if (found[event * levels + level] === context) break;
          found[event * levels + level] = context;
          context = contexts[context * contextSize + Trained.parent];
        }
      }
    }
    return { length, contexts: found, target, form, sort, count, mark: this.#marks };
  }
}

/** @returns the number of each place of a run in a table, which learns the new ones */
function namePlaces(table: SymbolTable, { places }: TransferEvents): Int32Array {
  const modules = places.modules.map((name) => table.internModule(name, name));
  return Int32Array.from({ length: places.length }, (_, place) =>
    table.intern(modules[places.module[place]], places.offset[place]),
  );
}
