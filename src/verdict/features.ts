import { assert, UserError } from '../base/errors.ts';
import { type Evaluation, type SampleIdentity, transfersOf } from '../evaluation/evaluation.ts';
import { evidenceKinds, evidenceRules } from '../evidence/rules.ts';
import { layerOf } from './feature-layer.ts';
import { countedSurprises, crowdedSurprises } from './place-surprise.ts';
import { findSurprises } from './surprises.ts';
import {
  crowdedSum,
  crowdLengths,
  surpriseLengths,
  windowLengths,
  worstSum,
  worstUnknownShare,
} from './worst-window.ts';

/** What can be measured on each prediction; every series has a mean and worst windows. */
const series = ['wrong', 'wrongConfidence', 'nll', 'unseen'] as const;
type Series = (typeof series)[number];

/** Probabilities below this count as this: one impossible event must not be infinite. */
const probabilityFloor = 1e-30;

/**
 * All features, larger = more suspicious.
 *
 * - `mispredictionRate`, `wrongConfidence`: the two classic ones (wrongConfidence is the mean
 *   confidence of the wrong predictions, 0 when none is wrong)
 * - `nll`: mean negative log-likelihood of what came, in nats
 * - `unknownBlockRate`, `unseenTransferRate`: shares of blocks and of predicted transfers
 * - `worst-<series>-<length>`: the largest mean of the series in so many consecutive predictions
 *   (blocks, for `unknown`)
 * - `crowded-surprise-<blocks>`, `crowded-unseen-<blocks>`: how many surprising (unseen) transfers
 *   lie in so many consecutive blocks at most; a transfer of 5 nats or more counts as one surprise,
 *   a lesser one in proportion
 * - `sudden-unknown`: the largest surprise, in nats, of an entry into unknown code out of the blue
 * - `surprise-1`: the largest surprise of a transfer, in nats at the scale of its place, where histories
 *   predicted; `surprise-<blocks>`: the largest sum in so many consecutive blocks, of transfers of which no code
 *   tells anything
 * - `transfers`, `blocks`: not suspicious in themselves: chances for a bad window
 * - `gaps`, `overflows`, `bytesLost`, `outsideBlocks`: counts
 * - `crashed`: 1 where flow ended at an event and never came back
 * - `evidence-<kind>`: counts; `hint-weight`: the largest weight of graded evidence, in nats
 */
export const featureNames: readonly string[] = [
  'mispredictionRate',
  'wrongConfidence',
  'nll',
  'unknownBlockRate',
  'unseenTransferRate',
  ...series.flatMap((name) => windowLengths.map((length) => `worst-${name}-${length}`)),
  ...windowLengths.map((length) => `worst-unknown-${length}`),
  ...crowdLengths.map((length) => `crowded-surprise-${length}`),
  ...crowdLengths.map((length) => `crowded-unseen-${length}`),
  'sudden-unknown',
  ...surpriseLengths.map((length) => `surprise-${length}`),
  'transfers',
  'blocks',
  'gaps',
  'overflows',
  'bytesLost',
  'outsideBlocks',
  'crashed',
  ...evidenceKinds.map((kind) => `evidence-${kind}`),
  'hint-weight',
];

/** Changes whenever a feature is added, removed, or computed in another way. */
export const featureVersion = 8;

const columnOf: ReadonlyMap<string, number> = new Map(
  featureNames.map((name, index) => [name, index]),
);

/** The ancestor's two features. */
export const classicFeatures: readonly [string, string] = ['mispredictionRate', 'wrongConfidence'];

/** What one evaluation amounts to: a few dozen numbers, so that the evaluation can be let go. */
export interface TraceFeatures {
  readonly sample: SampleIdentity;
  readonly model: string;
  /** In the order of `featureNames`; NaN = this evaluation does not say. */
  readonly values: Float64Array;
  /** A training run that was judged without its own counts, as if it had trained nothing. */
  readonly isLeftOut?: boolean;
}

/** @returns the value of a named feature */
export function feature(trace: TraceFeatures, name: string): number {
  const column = columnOf.get(name);
  assert(column !== undefined, `there is no feature "${name}"`);
  return trace.values[column];
}

export function computeFeatures(evaluation: Evaluation): TraceFeatures {
  const { occurrences, trace, unknownRuns, evidence } = evaluation;
  const values = new Float64Array(featureNames.length);
  const set = (name: string, value: number): void => {
    const column = columnOf.get(name);
    assert(column !== undefined, `there is no feature "${name}"`);
    values[column] = value;
  };
  const valuesOf = predictionSeries(evaluation);
  // All but the likelihood are 0 nearly everywhere: the few other transfers are picked out once.
  const surprises = findSurprises(evaluation);
  const { wrong } = valuesOf;
  const wrongOnes = pick(occurrences, (i) => wrong[i] > 0);
  const transfers = transfersOf(evaluation);
  // Where only some transfers are listed, the others neither surprised nor went wrong.
  const ordinals = evaluation.histories?.ordinals;
  const means = {} as Record<Series, number>;
  for (const name of series) {
    const picked = name === 'nll' ? undefined : name === 'unseen' ? surprises.index : wrongOnes;
    const found = inOrder(valuesOf[name], occurrences, picked);
    means[name] = transfers === 0 ? 0 : sum(found) / transfers;
    for (const length of windowLengths) {
      const isKnown = !Number.isNaN(means[name]);
      const worst =
        picked === undefined
          ? ordinals === undefined
            ? worstSum(found, length)
            : crowdedSum(found, ordinals, length)
          : crowdedSum(found, numbersOf(picked, ordinals), length);
      set(`worst-${name}-${length}`, isKnown ? worst / length : Number.NaN);
    }
  }
  const { place, surprise, unseen, sudden } = surprises;
  const isKnown = !Number.isNaN(means.nll);
  for (const length of crowdLengths) {
    const crowd = isKnown ? crowdedSum(surprise, place, length) : Number.NaN;
    set(`crowded-surprise-${length}`, crowd);
    set(`crowded-unseen-${length}`, crowdedSum(unseen, place, length));
  }
  set('sudden-unknown', isKnown ? sudden.reduce((a, b) => Math.max(a, b), 0) : Number.NaN);
  const single = countedSurprises(evaluation);
  const crowded = crowdedSurprises(evaluation);
  for (const length of surpriseLengths) {
    const nats = length === 1 ? single : crowded;
    const worst = nats === undefined ? Number.NaN : crowdedSum(nats, evaluation.positions, length);
    set(`surprise-${length}`, worst);
  }
  for (const length of windowLengths) {
    set(`worst-unknown-${length}`, worstUnknownShare(unknownRuns, length));
  }
  set('mispredictionRate', means.wrong);
  set('wrongConfidence', means.wrong === 0 ? 0 : means.wrongConfidence / means.wrong);
  set('nll', means.nll);
  set('unknownBlockRate', trace.blocks === 0 ? 0 : trace.unknownBlocks / trace.blocks);
  set('unseenTransferRate', means.unseen);
  set('transfers', transfers);
  set('blocks', trace.blocks);
  set('gaps', trace.gaps);
  set('overflows', trace.overflows);
  set('bytesLost', trace.bytesLost);
  set('outsideBlocks', trace.blocksOutsideImages);
  set('crashed', trace.crashed ? 1 : 0);
  const counts = new Map<string, number>();
  let weight = 0;
  for (const item of evidence) {
    counts.set(item.kind, (counts.get(item.kind) ?? 0) + (item.count ?? 1));
    if (evidenceRules[item.kind].strength === 'hint') weight = Math.max(weight, item.weight ?? 0);
  }
  for (const kind of evidenceKinds) set(`evidence-${kind}`, counts.get(kind) ?? 0);
  set('hint-weight', weight);
  return { sample: evaluation.sample, model: evaluation.model, values };
}

/** @returns the numbers of picked transfers among all that were predicted */
function numbersOf(picked: Int32Array, ordinals: Int32Array | undefined): Int32Array {
  return ordinals === undefined ? picked : picked.map((index) => ordinals[index]);
}

/** A probability just above 1 is rounding; NaN stays NaN. */
export function natsOfProbability(p: number): number {
  return -Math.log(Math.min(1, Math.max(probabilityFloor, p)));
}

/** @returns the series' values by prediction */
export function predictionSeries(evaluation: Evaluation): Record<Series, Float64Array> {
  const { predictions } = evaluation;
  const result = {} as Record<Series, Float64Array>;
  for (const name of series) result[name] = new Float64Array(predictions.length);
  for (let i = 0; i < predictions.length; i++) {
    const isWrong = predictions.predicted[i] !== predictions.actual[i];
    result.wrong[i] = isWrong ? 1 : 0;
    result.wrongConfidence[i] = isWrong ? predictions.confidence[i] : 0;
    result.nll[i] = natsOfProbability(predictions.actualProbability[i]);
    result.unseen[i] = predictions.unseenTransfer[i];
  }
  return result;
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

/**
 * @param choice  `all`, `first-layer`, `classic`, or names of features separated by commas
 * @returns feature names
 * @throws UserError `feature-unknown`
 */
export function chooseFeatures(choice: string): readonly string[] {
  if (choice === 'classic') return classicFeatures;
  const suspicious = featureNames.filter((name) => layerOf(name) !== 'chance');
  if (choice === 'calls') return ['nll', 'worst-nll-50'];
  if (choice === 'all') return suspicious;
  if (choice === 'first-layer') return suspicious.filter((name) => layerOf(name) === 'first-layer');
  const names = choice.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !columnOf.has(name));
  if (unknown.length > 0) {
    throw new UserError(
      'feature-unknown',
      `no such feature: ${unknown.join(', ')}; there are all, first-layer, calls, classic and ${featureNames.join(', ')}`,
      { category: 'arguments' },
    );
  }
  return names;
}
