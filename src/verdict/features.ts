import { assert, UserError } from '../base/errors.ts';
import type { Evaluation, SampleIdentity } from './evaluation.ts';
import { evidenceKinds, evidenceRules } from './evidence-kinds.ts';
import { windowLengths, worstUnknownShare, worstWindow } from './worst-window.ts';

/** What can be measured on each prediction; every series has a mean and worst windows. */
const series = ['wrong', 'wrongConfidence', 'nll', 'unseen'] as const;
type Series = (typeof series)[number];

/** Probabilities below this count as this: one impossible event must not be infinite. */
const probabilityFloor = 1e-9;

/**
 * All features, larger = more suspicious.
 *
 * - `mispredictionRate`, `wrongConfidence`: the two classic ones (wrongConfidence is the mean
 *   confidence of the wrong predictions, 0 when none is wrong)
 * - `nll`: mean negative log-likelihood of what came, in nats
 * - `unknownBlockRate`, `unseenTransferRate`: shares of blocks and of predicted transfers
 * - `worst-<series>-<length>`: the largest mean of the series in so many consecutive predictions
 *   (blocks, for `unknown`)
 * - `transfers`, `blocks`: not suspicious in themselves: chances for a bad window
 * - `gaps`, `overflows`, `outsideBlocks`: counts
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
  'transfers',
  'blocks',
  'gaps',
  'overflows',
  'outsideBlocks',
  ...evidenceKinds.map((kind) => `evidence-${kind}`),
  'hint-weight',
];

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
  const transfers = occurrences.length;
  const means = {} as Record<Series, number>;
  for (const name of series) {
    means[name] = transfers === 0 ? 0 : sumOver(valuesOf[name], occurrences) / transfers;
    for (const length of windowLengths) {
      const isKnown = !Number.isNaN(means[name]);
      const worst = isKnown ? worstWindow(valuesOf[name], occurrences, length).mean : Number.NaN;
      set(`worst-${name}-${length}`, worst);
    }
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
  set('outsideBlocks', trace.blocksOutsideImages);
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

/** @returns the series' values by prediction */
export function predictionSeries(evaluation: Evaluation): Record<Series, Float64Array> {
  const { predictions } = evaluation;
  const result = {} as Record<Series, Float64Array>;
  for (const name of series) result[name] = new Float64Array(predictions.length);
  for (let i = 0; i < predictions.length; i++) {
    const isWrong = predictions.predicted[i] !== predictions.actual[i];
    result.wrong[i] = isWrong ? 1 : 0;
    result.wrongConfidence[i] = isWrong ? predictions.confidence[i] : 0;
    // A probability just above 1 is rounding; NaN stays NaN.
    const p = Math.min(1, Math.max(probabilityFloor, predictions.actualProbability[i]));
    result.nll[i] = -Math.log(p);
    result.unseen[i] = predictions.unseenTransfer[i];
  }
  return result;
}

function sumOver(values: Float64Array, occurrences: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < occurrences.length; i++) sum += values[occurrences[i]];
  return sum;
}

/**
 * @param choice  `all`, `first-layer`, `classic`, or names of features separated by commas
 * @returns feature names
 * @throws UserError `feature-unknown`
 */
export function chooseFeatures(choice: string): readonly string[] {
  if (choice === 'classic') return classicFeatures;
  const chances = new Set(['transfers', 'blocks']);
  const suspicious = featureNames.filter((name) => !chances.has(name));
  if (choice === 'all') return suspicious;
  if (choice === 'first-layer') return suspicious.filter(isFirstLayer);
  const names = choice.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !columnOf.has(name));
  if (unknown.length > 0) {
    throw new UserError(
      'feature-unknown',
      `no such feature: ${unknown.join(', ')}; there are all, first-layer, classic and ${featureNames.join(', ')}`,
      { category: 'arguments' },
    );
  }
  return names;
}

/** Whether a feature comes from predictions alone, not from facts that the trace proves by itself. */
export function isFirstLayer(name: string): boolean {
  return !/^(?:evidence-|hint-|gaps$|overflows$|outsideBlocks$)/.test(name);
}
