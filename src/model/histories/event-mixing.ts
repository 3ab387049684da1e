import { enlarged } from '../../base/bytes/typed-array.ts';
import { transferForms } from '../../evidence/transfer-code.ts';
import { historyLevels } from '../../sequences/histories/levels.ts';
import { MixingInputs } from '../mixing/mixing-inputs.ts';
import type { MixingNetwork, MixingShape } from '../mixing/mixing-network.ts';
import { contextSize } from './context-index.ts';
import { headSize } from './context-table.ts';
import type { EventFeatures } from './event-features.ts';
import { inOrder, type Mixture } from './mixture.ts';
import { Cell, cellSize, ownBits, ownMask, type RunContexts, Shown } from './run-contexts.ts';

const levels = historyLevels.length;

/** Where the mixture holds one thing surer than this, it is not asked again: 97 to 99 of 100 events. */
const sure = 0.997;
/** Targets that the mixture holds less probable are left as they are. */
const leastProbable = 1e-3;

/** What is new is never held less probable. */
const least = 1e-20;

/** Inputs that all options share. By level: runs and own events, one candidate, nobody came there. */
const perLevel = 3;
const formAt = levels * perLevel;
const eventAt = formAt + transferForms.length;
/** Inputs of an option. By level: its share, whether it came there, the last time, how often in this run, in training. */
const ownPerLevel = 5;
const optionAt = levels * ownPerLevel;

export const mixingShape: MixingShape = { shared: eventAt + 5, own: optionAt + 3 };

/**
 * Asks a network about the events that a mixture of histories is not sure of. The mixture knows, of each history, the
 * longest context that led to a candidate; the network sees all contexts of all of them beside each other.
 */
export class EventMixing {
  readonly inputs: MixingInputs = new MixingInputs();
  /** By candidate: its option, or -1. */
  #optionOf: Int32Array<ArrayBuffer> = new Int32Array(64);
  /** By level: candidates that came in the context of the event; 0 = it is not known, or nobody came there. */
  readonly #kinds = new Int32Array(levels);
  /** By option: its candidate. */
  #candidate: Int32Array<ArrayBuffer> = new Int32Array(64);
  /** `[options, levels]`: how often it came in each context, as `Cell.seen`. */
  #seen: Int32Array<ArrayBuffer> = new Int32Array(64 * levels);

  /** @returns the option that a candidate is, -1 = none */
  optionOf(candidate: number): number {
    return this.#optionOf[candidate];
  }

  /**
   * Sets the inputs to an event that the mixture has weighed.
   *
   * @returns whether the mixture is unsure of it: the inputs are not set otherwise
   */
  read(run: RunContexts, features: EventFeatures, mixture: Mixture, form: number): boolean {
    const { candidates } = features;
    const { probability, novel, best } = mixture;
    const highest = best < 0 ? novel : probability[best];
    if (candidates === 0 || highest > sure) return false;
    const { inputs } = this;
    inputs.begin();
    const options = this.#chooseOptions(features, mixture);
    this.#readSeen(run, options);
    this.#addShared(run);
    inputs.add(formAt + form, 1);
    inputs.add(eventAt, 0.25 * Math.log1p(candidates));
    inputs.add(eventAt + 1, 0.25 * Math.log1p(features.trainedCandidates));
    inputs.add(eventAt + 2, 0.1 * Math.log(Math.max(least, novel)));
    inputs.add(eventAt + 3, 0.1 * Math.log(highest));
    inputs.add(eventAt + 4, Math.log1p(-Math.log(highest)));
    for (let option = 0; option < options; option++) {
      this.#addOption(run, option, features, mixture);
    }
    inputs.end(Math.max(least, novel));
    return true;
  }

  /** Puts what the network made of the event into the mixture. */
  correct(network: MixingNetwork, features: EventFeatures, mixture: Mixture): void {
    const { inputs } = this;
    network.weigh(inputs);
    const { posterior, rest, posteriorRest, options } = inputs;
    const { candidates, trainedCandidates } = features;
    const { probability } = mixture;
    const left = rest === 0 ? 0 : posteriorRest / rest;
    mixture.novel = posterior[options];
    mixture.best = -1;
    let most = mixture.novel;
    for (let nth = 0; nth < candidates; nth++) {
      const i = inOrder(nth, trainedCandidates, candidates);
      const option = this.#optionOf[i];
      probability[i] = option < 0 ? probability[i] * left : posterior[option];
      if (probability[i] > most) {
        most = probability[i];
        mixture.best = i;
      }
    }
  }

  /** @returns how many candidates are probable enough */
  #chooseOptions({ candidates }: EventFeatures, { probability }: Mixture): number {
    if (candidates > this.#optionOf.length) {
      this.#optionOf = enlarged(this.#optionOf, 2 * candidates);
      this.#candidate = enlarged(this.#candidate, 2 * candidates);
      this.#seen = enlarged(this.#seen, 2 * candidates * levels);
    }
    let options = 0;
    let rest = 0;
    for (let i = 0; i < candidates; i++) {
      const isOption = probability[i] >= leastProbable;
      this.#optionOf[i] = isOption ? options : -1;
      if (isOption) this.#candidate[options++] = i;
      else rest += probability[i];
    }
    this.inputs.rest = rest;
    return options;
  }

  #addShared(run: RunContexts): void {
    const { at, contexts } = run;
    const { inputs } = this;
    for (let level = 0; level < levels; level++) {
      const input = level * perLevel;
      const kinds = this.#kinds[level];
      if (kinds === 0) inputs.add(input + 2, 1);
      else {
        inputs.add(input, 0.25 * Math.log1p(contexts[at[level] * contextSize + Shown.sum]));
        if (kinds === 1) inputs.add(input + 1, 1);
      }
    }
  }

  /** Looks up how often each option came in each context, and how many candidates did. */
  #readSeen(run: RunContexts, options: number): void {
    const { at, contexts, cells } = run;
    const seen = this.#seen.fill(0, 0, options * levels);
    for (let level = 0; level < levels; level++) {
      this.#kinds[level] = 0;
      if (at[level] < 0) continue;
      const context = at[level] * contextSize;
      const several = contexts[context + Shown.cells];
      const list = several > 0 ? cells : contexts;
      const first = several > 0 ? several + headSize : context + Shown.cell;
      const kinds = run.kindsOf(at[level]);
      this.#kinds[level] = kinds;
      for (let i = 0; i < kinds; i++) {
        const cell = first + i * cellSize;
        // The cells of the place hold targets, in the order of the candidates.
        const option = this.#optionOf[level === 0 ? i : list[cell + Cell.candidate]];
        if (option >= 0) seen[option * levels + level] = list[cell + Cell.seen];
      }
    }
  }

  #addOption(
    run: RunContexts,
    option: number,
    { trainedCandidates }: EventFeatures,
    { probability }: Mixture,
  ): void {
    const { at, contexts } = run;
    const { inputs } = this;
    const candidate = this.#candidate[option];
    inputs.addOption(probability[candidate]);
    for (let level = 0; level < levels; level++) {
      const kinds = this.#kinds[level];
      if (kinds === 0) continue;
      const context = at[level] * contextSize;
      const input = level * ownPerLevel;
      const seen = this.#seen[option * levels + level];
      const trained = seen >> ownBits;
      const own = seen & ownMask;
      const all = contexts[context + Shown.sum];
      // A little is left for what never came there, and a little more for each kind that there is.
      const share = (trained + own + 0.05) / (all + 0.05 * kinds + 0.3);
      inputs.add(input, 0.25 * Math.log(share));
      if (seen > 0) inputs.add(input + 1, 1);
      if (contexts[context + Shown.last] === candidate) inputs.add(input + 2, 1);
      if (own > 0) inputs.add(input + 3, 0.3 + 0.1 * own);
      if (trained > 1) inputs.add(input + 4, 0.25 * Math.log1p(trained));
    }
    const logarithm = Math.log(probability[candidate]);
    inputs.add(optionAt, 0.1 * logarithm);
    if (logarithm > -0.7) inputs.add(optionAt + 1, 1);
    if (candidate >= trainedCandidates) inputs.add(optionAt + 2, 1);
  }
}
