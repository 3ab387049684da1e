import { targetSorts, usualCounts } from '../../evidence/transfer-code.ts';
import { historyLevels } from '../../sequences/histories/levels.ts';
import type { MixingNetwork } from '../mixing/mixing-network.ts';
import type { ContextTable } from './context-table.ts';
import { EventFeatures } from './event-features.ts';
import { EventMixing } from './event-mixing.ts';
import { inOrder, Mixture } from './mixture.ts';
import { Novelty } from './novelty.ts';
import { atScale, type PlaceScale } from './place-scales.ts';
import { noRun, ownBits, ownMask, RunContexts } from './run-contexts.ts';

const levels = historyLevels.length;
const noHashes = new Int32Array(0);
const notACall = targetSorts.indexOf('not-a-call');

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
  /**
   * What the histories are answerable for of that: where a target came that the place never showed, the chance of any such
   * target; otherwise all of it.
   */
  readonly choice: Float32Array;
  /** Targets that training saw at this place. */
  readonly trainedTargets: Int32Array;
  /** In how many runs training saw the target that came there, and how often this run had shown it; at most 8. */
  readonly trainedCount: Uint8Array;
  readonly shownCount: Uint8Array;
  /** Surprise of what came at the scale of its place, in nats: see `atScale`. */
  readonly surprise: Float32Array;
}

/** Events of a run whose places are numbered as in training, new ones behind. */
export interface RunEvents {
  readonly length: number;
  readonly target: Int32Array;
  readonly form: Uint8Array;
  readonly sort: Uint8Array;
  readonly count: Float64Array;
}

/** Of any run. */
export interface NamedEvents extends RunEvents {
  /** `[length, levels, 2]`. */
  readonly hashes: Int32Array;
}

/** Of a training run: nobody has to look for its contexts. */
export interface KnownEvents extends RunEvents {
  /** `[length, levels]`: its contexts in the table of training; -1 = the past is not known so far. */
  readonly contexts: Int32Array;
  /** What its entries are marked with there, until another run is left out. */
  readonly mark: number;
}

/** What all runs are judged with. */
export interface JudgingTables {
  readonly contexts: ContextTable;
  /** Places of training. */
  readonly places: number;
  /** Training runs, and transfers that were predicted in them. */
  readonly runs: number;
  readonly transfers: number;
  readonly weights: Float64Array;
  /** Corrects what the weights say where they are not sure; not there = training held too little to learn it. */
  readonly network: MixingNetwork | undefined;
  /**
   * By form of transfer and sort of target, for `Novelty`: events of left-out runs that their place never
   * showed, and the targets of all places of training, for places that nobody saw.
   */
  readonly novelty: Float64Array;
  readonly pairs: Float64Array;
  /** By context of the instruction; not there = what the model claims. */
  readonly scales: ReadonlyMap<number, PlaceScale>;
}

/** Judges a run while it goes on: its events piece by piece, as they come. */
export class RunJudge {
  readonly #tables: JudgingTables;
  readonly #contexts: RunContexts;
  readonly #features = new EventFeatures();
  readonly #mixture: Mixture;
  readonly #mixing = new EventMixing();
  readonly #novelties: Novelty;
  readonly #firsts: Novelty;
  /** A run is of a kind that none of the others showed once in so many. */
  readonly #otherKind: number;

  /**
   * @param leftOut  mark of the training run whose own counts are taken out
   * @param contexts  over the same tables, that nobody else uses
   */
  constructor(tables: JudgingTables, leftOut: number = noRun, contexts?: RunContexts) {
    this.#tables = tables;
    this.#contexts = contexts ?? new RunContexts(tables.contexts, tables.places);
    this.#contexts.begin(leftOut);
    this.#mixture = new Mixture(tables.weights);
    this.#novelties = new Novelty(tables.novelty);
    this.#firsts = new Novelty(tables.pairs);
    this.#otherKind = 1 / (tables.runs + 1);
  }

  /** Judges the next events of the run. How a run is cut makes no difference. */
  judge(events: NamedEvents | KnownEvents): EventJudgements {
    const { length, target, form, sort, count } = events;
    const result = {
      predicted: new Int32Array(length).fill(-1),
      confidence: new Float32Array(length),
      probability: new Float32Array(length),
      chance: new Float32Array(length),
      choice: new Float32Array(length),
      trainedTargets: new Int32Array(length),
      trainedCount: new Uint8Array(length),
      shownCount: new Uint8Array(length),
      surprise: new Float32Array(length),
    };
    const { scales, network } = this.#tables;
    const known = 'contexts' in events ? events.contexts : undefined;
    const hashes = 'hashes' in events ? events.hashes : noHashes;
    const mixture = this.#mixture;
    const contexts = this.#contexts;
    const features = this.#features;
    for (let event = 0; event < length; event++) {
      if (known === undefined) contexts.come(hashes, event * 2 * levels);
      else contexts.comeKnown(known, event * levels);
      features.read(contexts, form[event]);
      mixture.weigh(features);
      if (network !== undefined && this.#mixing.read(contexts, features, mixture, form[event])) {
        this.#mixing.correct(network, features, mixture);
      }
      const came = target[event];
      const candidate = contexts.candidateOf(came);
      const { best, probability } = mixture;
      this.#weigh(candidate, form[event], sort[event], count[event]);
      result.probability[event] = this.#probability;
      result.chance[event] = this.#chance;
      result.choice[event] = this.#choice;
      result.surprise[event] = atScale(
        result.chance[event],
        result.choice[event],
        scales.get(contexts.instruction),
      );
      if (best >= 0) {
        result.predicted[event] = features.target[best];
        result.confidence[event] = probability[best];
      }
      result.trainedTargets[event] = features.trainedCandidates;
      if (candidate >= 0) {
        const seen = features.seenHere[candidate];
        result.trainedCount[event] = Math.min(255, seen >> ownBits);
        result.shownCount[event] = seen & ownMask;
      }
      contexts.remember(came);
    }
    return result;
  }

  /** Set by `#weigh`. */
  #probability = 0;
  #chance = 0;
  #choice = 0;

  /** What the target that came, and all that is at most as probable, had for chances. */
  #weigh(candidate: number, form: number, sort: number, count: number): void {
    const { probability, novel } = this.#mixture;
    const { candidates, trainedCandidates } = this.#features;
    const novelty = candidates === 0 ? this.#firsts : this.#novelties;
    const byCode = (novel * novelty.share(form, sort)) / count;
    // Who knows a target thinks no less of it than of a new one of its sort.
    const p = candidate < 0 ? byCode : Math.max(byCode, probability[candidate]);
    let chance = 0;
    for (let nth = 0; nth < candidates; nth++) {
      const i = inOrder(nth, trainedCandidates, candidates);
      if (probability[i] <= p) chance += probability[i];
    }
    for (let other = 0; other < targetSorts.length; other++) {
      const mass = novel * novelty.share(form, other);
      // Of new targets, those that the code means no more than the one that came; sorts stand from the narrowest, but for
      // that of returns alone.
      const isOther = other === sort || (other > sort && other !== notACall);
      const isCounted = candidate < 0 ? isOther : mass / usualCounts[other] <= p;
      if (isCounted) chance += mass;
    }
    // The code bounds what is possible here, whatever was seen of it.
    if (novelty.isClosed(sort)) chance = (1 - this.#otherKind) * chance + this.#otherKind;
    if (candidate < 0 && novelty.isForbidden(form, sort)) {
      // No new code explains it: how often it comes is known from all transfers.
      const seen = this.#novelties.seen(form, sort);
      chance = Math.min(chance, (seen + 0.5) / (this.#tables.transfers + 1));
    }
    this.#probability = p;
    this.#chance = Math.min(1, chance);
    this.#choice = candidate < 0 ? Math.min(1, Math.max(novel, chance)) : this.#chance;
  }
}

/**
 * Judges one run: event by event, each from what training saw and what this run has shown before it.
 *
 * @param contexts  over the same tables: who judges many runs makes them once
 */
export function judgeRun(
  events: NamedEvents | KnownEvents,
  tables: JudgingTables,
  contexts?: RunContexts,
): EventJudgements {
  return new RunJudge(tables, 'mark' in events ? events.mark : noRun, contexts).judge(events);
}
