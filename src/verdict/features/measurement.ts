import { type Evaluation, transfersOf } from '../../evaluation/evaluation.ts';
import { evidenceRules } from '../../evidence/rules.ts';
import type { Count, Measure, PredictionSeries } from './feature-table.ts';
import { countedSurprises, crowdedSurprises } from './place-surprise.ts';
import { findSurprises, type Surprises } from './surprises.ts';
import { crowdedSum, type WindowLength, worstSum, worstUnknownShare } from './worst-window.ts';

/** Probabilities below this count as this: one impossible event must not be infinite. */
const probabilityFloor = 1e-30;

/** A probability just above 1 is rounding; NaN stays NaN. */
export function natsOfProbability(p: number): number {
  return -Math.log(Math.min(1, Math.max(probabilityFloor, p)));
}

/** @returns the series' values by prediction */
export function seriesOf({ predictions }: Evaluation): Record<PredictionSeries, Float64Array> {
  const { length } = predictions;
  const result = {
    wrong: new Float64Array(length),
    wrongConfidence: new Float64Array(length),
    nll: new Float64Array(length),
    unseen: new Float64Array(length),
  };
  for (let i = 0; i < length; i++) {
    const isWrong = predictions.predicted[i] !== predictions.actual[i];
    result.wrong[i] = isWrong ? 1 : 0;
    result.wrongConfidence[i] = isWrong ? predictions.confidence[i] : 0;
    result.nll[i] = natsOfProbability(predictions.actualProbability[i]);
    result.unseen[i] = predictions.unseenTransfer[i];
  }
  return result;
}

/** One series along a trace. */
interface Course {
  readonly values: Float64Array;
  /** Number of each value's transfer among all that were predicted; `undefined`: one behind the other. */
  readonly places: Int32Array | undefined;
  /** Over all transfers, also those that are not listed. */
  readonly mean: number;
}

/** What the features of one evaluation are computed from; what several need is worked out once. */
export class Measurement {
  readonly #evaluation: Evaluation;
  readonly #transfers: number;
  readonly #courses: Readonly<Record<PredictionSeries, Course>>;
  readonly #surprises: Surprises;
  readonly #single: Float64Array | undefined;
  readonly #crowded: Float64Array | undefined;

  constructor(evaluation: Evaluation) {
    this.#evaluation = evaluation;
    this.#transfers = transfersOf(evaluation);
    this.#surprises = findSurprises(evaluation);
    this.#single = countedSurprises(evaluation);
    this.#crowded = crowdedSurprises(evaluation);
    const values = seriesOf(evaluation);
    // All but the likelihood are 0 nearly everywhere: the few other transfers are picked out once.
    const wrong = pick(evaluation.occurrences, (prediction) => values.wrong[prediction] > 0);
    this.#courses = {
      wrong: this.#course(values.wrong, wrong),
      wrongConfidence: this.#course(values.wrongConfidence, wrong),
      nll: this.#course(values.nll, undefined),
      unseen: this.#course(values.unseen, this.#surprises.index),
    };
  }

  /** @returns NaN for what the evaluation does not say */
  value(measure: Measure): number {
    const { trace, unknownRuns, positions, evidence } = this.#evaluation;
    const { wrong, wrongConfidence, nll } = this.#courses;
    const { place, surprise, unseen, sudden } = this.#surprises;
    const isKnown = !Number.isNaN(nll.mean);
    switch (measure.of) {
      case 'mean':
        return this.#courses[measure.series].mean;
      case 'confidence':
        return wrong.mean === 0 ? 0 : wrongConfidence.mean / wrong.mean;
      case 'unknown-blocks':
        return trace.blocks === 0 ? 0 : trace.unknownBlocks / trace.blocks;
      case 'worst':
        return measure.series === 'unknown'
          ? worstUnknownShare(unknownRuns, measure.length)
          : worstMean(this.#courses[measure.series], measure.length);
      case 'crowd':
        if (measure.series === 'unseen') return crowdedSum(unseen, place, measure.blocks);
        return isKnown ? crowdedSum(surprise, place, measure.blocks) : Number.NaN;
      case 'sudden':
        return isKnown ? sudden.reduce((a, b) => Math.max(a, b), 0) : Number.NaN;
      case 'surprise': {
        const nats = measure.blocks === 1 ? this.#single : this.#crowded;
        return nats === undefined ? Number.NaN : crowdedSum(nats, positions, measure.blocks);
      }
      case 'count':
        return this.#count(measure.what);
      case 'crash':
        return trace.crashed ? 1 : 0;
      case 'evidence':
        return evidence
          .filter(({ kind }) => kind === measure.kind)
          .reduce((sum, { count }) => sum + (count ?? 1), 0);
      case 'hint':
        return evidence
          .filter(({ kind }) => evidenceRules[kind].strength === 'hint')
          .reduce((most, { weight }) => Math.max(most, weight ?? 0), 0);
    }
  }

  #count(what: Count): number {
    const { trace } = this.#evaluation;
    if (what === 'transfers') return this.#transfers;
    return what === 'outsideBlocks' ? trace.blocksOutsideImages : trace[what];
  }

  /** @param picked  the listed transfers at which the series is not 0; `undefined`: any may be */
  #course(series: Float64Array, picked: Int32Array | undefined): Course {
    const { occurrences, histories } = this.#evaluation;
    const values = inOrder(series, occurrences, picked);
    const mean = this.#transfers === 0 ? 0 : sum(values) / this.#transfers;
    // Where only some transfers are listed, the others neither surprised nor went wrong.
    const ordinals = histories?.ordinals;
    const places =
      ordinals === undefined ? picked : (picked?.map((index) => ordinals[index]) ?? ordinals);
    return { values, places, mean };
  }
}

function worstMean({ values, places, mean }: Course, length: WindowLength): number {
  if (Number.isNaN(mean)) return Number.NaN;
  const worst =
    places === undefined ? worstSum(values, length) : crowdedSum(values, places, length);
  return worst / length;
}

/** @returns the values of the picked transfers, or of all, in trace order */
function inOrder(
  values: Float64Array,
  occurrences: Int32Array,
  picked: Int32Array | undefined,
): Float64Array {
  const result = new Float64Array((picked ?? occurrences).length);
  if (picked === undefined) {
    for (let i = 0; i < result.length; i++) result[i] = values[occurrences[i]];
  } else {
    for (let i = 0; i < result.length; i++) result[i] = values[occurrences[picked[i]]];
  }
  return result;
}

/** @returns numbers of the transfers whose prediction is wanted */
function pick(occurrences: Int32Array, isWanted: (prediction: number) => boolean): Int32Array {
  let predictions = 0;
  for (let i = 0; i < occurrences.length; i++) {
    if (occurrences[i] >= predictions) predictions = occurrences[i] + 1;
  }
  const wanted = new Uint8Array(predictions);
  for (let i = 0; i < predictions; i++) wanted[i] = isWanted(i) ? 1 : 0;
  let count = 0;
  for (let i = 0; i < occurrences.length; i++) count += wanted[occurrences[i]];
  const picked = new Int32Array(count);
  count = 0;
  for (let i = 0; i < occurrences.length; i++) {
    if (wanted[occurrences[i]] === 1) picked[count++] = i;
  }
  return picked;
}

function sum(values: Float64Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}
