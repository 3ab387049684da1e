import { UserError } from '../../base/errors.ts';
import type { EvidenceKind } from '../../evidence/evidence.ts';
import { evidenceKinds } from '../../evidence/rules.ts';
import {
  type CrowdLength,
  crowdLengths,
  type SurpriseLength,
  surpriseLengths,
  type WindowLength,
  windowLengths,
} from './worst-window.ts';

/**
 * What a feature is measured from: the predictions of the first layer; what the trace proves by itself;
 * how whole the trace is; or nothing suspicious, only how many chances for it there were.
 */
export type FeatureLayer = 'first-layer' | 'evidence' | 'damage' | 'chance';

/**
 * What can be measured on each prediction: whether it was wrong, and with which confidence; the negative
 * log-likelihood of what came, in nats; whether training never saw the transfer.
 */
export const predictionSeries = ['wrong', 'wrongConfidence', 'nll', 'unseen'] as const;
export type PredictionSeries = (typeof predictionSeries)[number];

/** What is counted over a whole trace. */
export type Count = 'transfers' | 'blocks' | 'gaps' | 'overflows' | 'bytesLost' | 'outsideBlocks';

/** How a feature is computed. */
export type Measure =
  /** Mean of a series over all predictions. */
  | { readonly of: 'mean'; readonly series: Exclude<PredictionSeries, 'wrongConfidence'> }
  /** Mean confidence of the wrong predictions, 0 when none is wrong. */
  | { readonly of: 'confidence' }
  /** Share of blocks that training never saw. */
  | { readonly of: 'unknown-blocks' }
  /** Largest mean of the series in so many consecutive predictions; in blocks, for `unknown`. */
  | {
      readonly of: 'worst';
      readonly series: PredictionSeries | 'unknown';
      readonly length: WindowLength;
    }
  /**
   * How many surprising (unseen) transfers lie in so many consecutive blocks at most; a transfer of 5 nats
   * or more counts as one surprise, a lesser one in proportion.
   */
  | { readonly of: 'crowd'; readonly series: 'surprise' | 'unseen'; readonly blocks: CrowdLength }
  /** Largest surprise, in nats, of an entry into unknown code out of the blue. */
  | { readonly of: 'sudden' }
  /**
   * Where histories predicted: the largest surprise of a transfer, in nats at the scale of its place; over
   * more than one block the largest sum, of transfers of which no code tells anything.
   */
  | { readonly of: 'surprise'; readonly blocks: SurpriseLength }
  | { readonly of: 'count'; readonly what: Count }
  /** 1 where flow ended at an event and never came back. */
  | { readonly of: 'crash' }
  /** How often evidence of a kind was found. */
  | { readonly of: 'evidence'; readonly kind: EvidenceKind }
  /** Largest weight of graded evidence, in nats. */
  | { readonly of: 'hint' };

/** The names stand in files and are taken by `--features`. */
export type FeatureName =
  | 'mispredictionRate'
  | 'wrongConfidence'
  | 'nll'
  | 'unknownBlockRate'
  | 'unseenTransferRate'
  | `worst-${PredictionSeries | 'unknown'}-${WindowLength}`
  | `crowded-${'surprise' | 'unseen'}-${CrowdLength}`
  | 'sudden-unknown'
  | `surprise-${SurpriseLength}`
  | Count
  | 'crashed'
  | `evidence-${EvidenceKind}`
  | 'hint-weight';

/** One number that verdicts are made from: the larger, the more suspicious. */
export interface Feature {
  readonly name: FeatureName;
  readonly layer: FeatureLayer;
  readonly measure: Measure;
}

const ofPredictions = (name: FeatureName, measure: Measure): Feature => ({
  name,
  layer: 'first-layer',
  measure,
});
const ofEvidence = (name: FeatureName, measure: Measure): Feature => ({
  name,
  layer: 'evidence',
  measure,
});
const counted =
  (layer: FeatureLayer) =>
  (what: Count): Feature => ({ name: what, layer, measure: { of: 'count', what } });
const worst =
  (series: PredictionSeries | 'unknown') =>
  (length: WindowLength): Feature =>
    ofPredictions(`worst-${series}-${length}`, { of: 'worst', series, length });
const crowded =
  (series: 'surprise' | 'unseen') =>
  (blocks: CrowdLength): Feature =>
    ofPredictions(`crowded-${series}-${blocks}`, { of: 'crowd', series, blocks });

/** All features; files keep their values in this order. */
export const featureTable: readonly Feature[] = [
  ofPredictions('mispredictionRate', { of: 'mean', series: 'wrong' }),
  ofPredictions('wrongConfidence', { of: 'confidence' }),
  ofPredictions('nll', { of: 'mean', series: 'nll' }),
  ofPredictions('unknownBlockRate', { of: 'unknown-blocks' }),
  ofPredictions('unseenTransferRate', { of: 'mean', series: 'unseen' }),
  ...predictionSeries.flatMap((series) => windowLengths.map(worst(series))),
  ...windowLengths.map(worst('unknown')),
  ...crowdLengths.map(crowded('surprise')),
  ...crowdLengths.map(crowded('unseen')),
  ofPredictions('sudden-unknown', { of: 'sudden' }),
  ...surpriseLengths.map((blocks) =>
    ofPredictions(surpriseName(blocks), { of: 'surprise', blocks }),
  ),
  // Not suspicious in themselves: chances for a bad window.
  ...(['transfers', 'blocks'] as const).map(counted('chance')),
  ...(['gaps', 'overflows', 'bytesLost', 'outsideBlocks'] as const).map(counted('damage')),
  ofEvidence('crashed', { of: 'crash' }),
  ...evidenceKinds.map((kind) => ofEvidence(`evidence-${kind}`, { of: 'evidence', kind })),
  ofEvidence('hint-weight', { of: 'hint' }),
];

export const featureNames: readonly FeatureName[] = featureTable.map(({ name }) => name);

/** Changes whenever a feature is added, removed, or computed in another way. */
export const featureVersion = 9;

/** Where a feature stands in the table, and among the values of a trace. */
const columns: ReadonlyMap<string, number> = new Map(
  featureNames.map((name, column) => [name, column]),
);

/** @returns `undefined` for what is no feature of this release */
export function columnOf(name: string): number | undefined {
  return columns.get(name);
}

export function isFeatureName(name: unknown): name is FeatureName {
  return typeof name === 'string' && columns.has(name);
}

/** @returns the name of the surprise within so many blocks */
export function surpriseName(blocks: SurpriseLength): `surprise-${SurpriseLength}` {
  return `surprise-${blocks}`;
}

/** The ancestor's two features. */
export const classicFeatures: readonly [FeatureName, FeatureName] = [
  'mispredictionRate',
  'wrongConfidence',
];

/**
 * @param choice  `all`, `first-layer`, `classic`, `calls`, or names of features separated by commas
 * @throws UserError `feature-unknown`
 */
export function chooseFeatures(choice: string): readonly FeatureName[] {
  const ofLayers = (...layers: readonly FeatureLayer[]): FeatureName[] =>
    featureTable.filter(({ layer }) => layers.includes(layer)).map(({ name }) => name);
  if (choice === 'classic') return classicFeatures;
  if (choice === 'calls') return ['nll', 'worst-nll-50'];
  if (choice === 'all') return ofLayers('first-layer', 'evidence', 'damage');
  if (choice === 'first-layer') return ofLayers('first-layer');
  const words = choice.split(',').map((name) => name.trim());
  const names = words.filter(isFeatureName);
  if (names.length < words.length) {
    const unknown = words.filter((name) => !isFeatureName(name));
    throw new UserError(
      'feature-unknown',
      `no such feature: ${unknown.join(', ')}; there are all, first-layer, calls, classic and ${featureNames.join(', ')}`,
      { category: 'arguments' },
    );
  }
  return names;
}
