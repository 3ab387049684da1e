import { targetSorts } from '../../evidence/transfer-code.ts';
import type { TransferEvents } from '../../sequences/histories/events.ts';
import { deepestLevels, historyLevels } from '../../sequences/histories/levels.ts';
import type { SymbolTable } from '../../sequences/symbol-table.ts';
import { ContextTable } from './context-table.ts';
import { noveltyCounts } from './novelty.ts';
import type { NamedEvents } from './run-judge.ts';

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

  add(events: TransferEvents): void {
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
        found[level] = -1;
        if (hashes[at] === 0 && hashes[at + 1] === 0) continue;
        const { parent, history } = historyLevels[level];
        const above = parent < 0 ? -1 : found[parent];
        const context = contexts.intern(hashes[at], hashes[at + 1], level, above);
        found[level] = context;
        if (contexts.stamp[context] !== run) {
          contexts.stamp[context] = run;
          contexts.runs[context]++;
        }
        let entry = contexts.entryOf(context, came);
        if (entry < 0) {
          entry = contexts.addEntry(context, came);
          if (level === 0)
            this.pairs[events.form[event] * targetSorts.length + events.sort[event]]++;
          // Of the four longer contexts of a block, the path's tell its kinds.
          if (above >= 0 && (parent !== 1 || history === 'path')) {
            contexts.kinds[contexts.entryOf(above, came)]++;
          }
        }
        if (contexts.entryStamp[entry] !== run) {
          contexts.entryStamp[entry] = run;
          contexts.targetRuns[entry]++;
        }
      }
      deepestLevels.forEach((level, history) => {
        let at = level;
        while (at >= 0 && found[at] < 0) at = historyLevels[at].parent;
        deepest[event * deepestLevels.length + history] = found[at];
      });
    }
    const { form, sort, count } = events;
    this.#runs.push({ length, deepest, target, form, sort, count });
  }

  /**
   * Numbers targets by the classes of a vocabulary, once all runs are there.
   *
   * @param classOf  by symbol
   */
  settle(classOf: Int32Array): void {
    const { target, entries } = this.contexts;
    for (let entry = 0; entry < entries; entry++) target[entry] = classOf[target[entry]];
    for (const run of this.#runs) {
      for (let i = 0; i < run.length; i++) run.target[i] = classOf[run.target[i]];
    }
  }

  /** Stamps what a run has, so that it can be taken out. @returns its events */
  leaveOut(run: number): NamedEvents {
    const { contexts } = this;
    const kept = this.#runs[run];
    const hashes = new Int32Array(kept.length * 2 * levels);
    const found = new Int32Array(kept.length * levels).fill(-1);
    for (let event = 0; event < kept.length; event++) {
      for (let history = 0; history < deepestLevels.length; history++) {
        let context = kept.deepest[event * deepestLevels.length + history];
        for (; context >= 0; context = contexts.parent[context]) {
          const at = 2 * (event * levels + contexts.level[context]);
          // What another history shares is there already, and what is shorter with it.
          if (found[at / 2] === context) break;
          found[at / 2] = context;
          hashes[at] = contexts.keys[2 * context];
          hashes[at + 1] = contexts.keys[2 * context + 1];
          contexts.stamp[context] = run;
          contexts.entryStamp[contexts.entryOf(context, kept.target[event])] = run;
        }
      }
    }
    const { length, target, form, sort, count } = kept;
    return { length, hashes, contexts: found, target, form, sort, count };
  }
}

/** @returns the number of each place of a run in a table, which learns the new ones */
function namePlaces(table: SymbolTable, { places }: TransferEvents): Int32Array {
  const modules = places.modules.map((name) => table.internModule(name, name));
  return Int32Array.from({ length: places.length }, (_, place) =>
    table.intern(modules[places.module[place]], places.offset[place]),
  );
}
