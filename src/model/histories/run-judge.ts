import { targetSorts, transferForms, usualCounts } from '../../evidence/transfer-code.ts';
import { historyLevels } from '../../sequences/histories/levels.ts';
import { ContextTable } from './context-table.ts';
import { EventView } from './event-view.ts';
import { Mixture, type MixtureWeights } from './mixture.ts';
import { Novelty } from './novelty.ts';

const levels = historyLevels.length;
const returnForm = transferForms.indexOf('return');
const parents = historyLevels.map(({ parent }) => parent);

/** How the events of a run went, all arrays of their number. */
export interface EventJudgements {
  /** Place of the target that was held most probable; -1 = none was known. */
  readonly predicted: Int32Array;
  /** Its probability. */
  readonly confidence: Float32Array;
  /** Probability of the target that came. */
  readonly probability: Float32Array;
  /** Chance of something that is at most as probable as what came: its negative logarithm is the surprise. */
  readonly chance: Float32Array;
  /** Targets that training saw at this place. */
  readonly trainedTargets: Int32Array;
  /** In how many runs training saw the target that came there, and how often this run had shown it; at most 8. */
  readonly trainedCount: Uint8Array;
  readonly shownCount: Uint8Array;
}

/** Events of a run whose places are numbered as in training, new ones behind. */
export interface NamedEvents {
  readonly length: number;
  /** `[length, levels, 2]`. */
  readonly hashes: Int32Array;
  readonly target: Int32Array;
  /** `[length, levels]`, of training runs: their contexts in the table, so that nobody has to look for them. */
  readonly contexts?: Int32Array;
  readonly form: Uint8Array;
  readonly sort: Uint8Array;
  readonly count: Float64Array;
}

/** What all runs are judged with. */
export interface JudgingTables {
  readonly contexts: ContextTable;
  /** Places of training. */
  readonly places: number;
  /** Training runs, and transfers that were predicted in them. */
  readonly runs: number;
  readonly transfers: number;
  readonly mixture: MixtureWeights;
  /**
   * By form of transfer and sort of target, for `Novelty`: events of left-out runs that their place never
   * showed, and the targets of all places of training, for places that nobody saw.
   */
  readonly novelty: Float64Array;
  readonly pairs: Float64Array;
}

/** A judged run's own memory, for runs that are judged while they go on. */
export class RunJudge {
  readonly #tables: JudgingTables;
  readonly #leftOut: number;
  readonly #rate: number;
  readonly #own: ContextTable = new ContextTable();
  readonly #view: EventView;
  readonly #mixture: Mixture;
  readonly #novelties: Novelty;
  readonly #firsts: Novelty;

  /** Parameters as of `judgeRun`. */
  constructor(tables: JudgingTables, leftOut = -2, rate = 0) {
    this.#tables = tables;
    this.#leftOut = leftOut;
    this.#rate = rate;
    this.#view = new EventView(tables.contexts, tables.places);
    this.#mixture = new Mixture(tables.mixture);
    this.#novelties = new Novelty(tables.novelty);
    this.#firsts = new Novelty(tables.pairs);
  }

  /** Judges the next events of the run. How a run is cut makes no difference. */
  judge(events: NamedEvents): EventJudgements {
    const { length, hashes, target, form, sort, count } = events;
    const result = {
      predicted: new Int32Array(length).fill(-1),
      confidence: new Float32Array(length),
      probability: new Float32Array(length),
      chance: new Float32Array(length),
      trainedTargets: new Int32Array(length),
      trainedCount: new Uint8Array(length),
      shownCount: new Uint8Array(length),
    };
    const tables = this.#tables;
    const leftOut = this.#leftOut;
    const rate = this.#rate;
    const own = this.#own;
    const view = this.#view;
    const mixture = this.#mixture;
    const novelties = this.#novelties;
    const firsts = this.#firsts;
    // A run is of a kind that none of the others showed once in so many.
    const otherKind = 1 / (tables.runs + 1);
    const contexts = new Int32Array(levels);
    for (let event = 0; event < length; event++) {
      const at = event * 2 * levels;
      const came = target[event];
      view.read(hashes, at, own, leftOut, events.contexts);
      mixture.read(view, form[event]);
      const candidate = view.candidateOf(came);
      const { best, probability, novel } = mixture;
      const novelty = view.candidates.length === 0 ? firsts : novelties;
      const byCode = (novel * novelty.share(form[event], sort[event])) / count[event];
      // Who knows a target thinks no less of it than of a new one of its sort.
      const p = candidate < 0 ? byCode : Math.max(byCode, probability[candidate]);
      let chance = 0;
      for (let i = 0; i < view.candidates.length; i++) {
        if (probability[i] <= p) chance += probability[i];
      }
      for (let other = 0; other < targetSorts.length; other++) {
        const mass = novel * novelty.share(form[event], other);
        const each = candidate < 0 && other === sort[event] ? count[event] : usualCounts[other];
        if (mass / each <= p) chance += mass;
      }
      // The code bounds what is possible here, whatever was seen of it.
      if (novelty.isClosed(sort[event])) chance = (1 - otherKind) * chance + otherKind;
      if (candidate < 0 && form[event] === returnForm) {
        // All other returns went to their calls.
        const seen = tables.novelty[returnForm * targetSorts.length + sort[event]];
        chance = Math.min(chance, (seen + 0.5) / (tables.transfers + 1));
      }
      result.probability[event] = p;
      result.chance[event] = Math.min(1, chance);
      if (best >= 0) {
        result.predicted[event] = view.candidates[best];
        result.confidence[event] = probability[best];
      }
      for (let cell = view.from[0]; cell < view.from[1]; cell++) {
        if (view.trainedCount[cell] > 0) result.trainedTargets[event]++;
        if (view.candidate[cell] !== candidate) continue;
        result.trainedCount[event] = Math.min(255, view.trainedCount[cell]);
        result.shownCount[event] = view.ownCount[cell];
      }
      if (rate > 0) {
        mixture.learn(candidate, rate);
        if (candidate < 0) novelties.learn(form[event], sort[event]);
      }
      for (let level = 0; level < levels; level++) {
        const low = hashes[at + 2 * level];
        const high = hashes[at + 2 * level + 1];
        contexts[level] = -1;
        if (low === 0 && high === 0) continue;
        const parent = parents[level];
        const known = view.own[level];
        const context =
          known >= 0 ? known : own.intern(low, high, level, parent < 0 ? -1 : contexts[parent]);
        contexts[level] = context;
        own.last[context] = came;
        let entry = own.entryOf(context, came);
        if (entry < 0) entry = own.addEntry(context, came);
        own.targetRuns[entry]++;
      }
    }
    return result;
  }
}

/**
 * Judges one run: event by event, each from what training saw and what this run has shown before it.
 *
 * @param leftOut  stamp of a training run whose own counts are taken out; -2 = none
 * @param rate  at which the mixture learns from it; 0 = not at all
 */
export function judgeRun(
  events: NamedEvents,
  tables: JudgingTables,
  leftOut = -2,
  rate = 0,
): EventJudgements {
  return new RunJudge(tables, leftOut, rate).judge(events);
}
