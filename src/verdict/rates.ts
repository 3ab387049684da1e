import type { SampleIdentity } from '../evaluation/evaluation.ts';
import { type Proportion, proportion } from './statistics/interval.ts';
import { type RankingQuality, rankingQuality } from './statistics/ranking.ts';

/** A judged trace, as far as counting goes. */
export interface Judged {
  readonly sample: Pick<SampleIdentity, 'label' | 'family'>;
  readonly isFlagged: boolean;
  readonly score: number;
}

/**
 * What a set of figures was measured on.
 *
 * - `held out`: traces that neither trained a model nor set a threshold
 * - `cross-validation`: each trace judged by a classifier that the others made
 * - `fitted`: the traces that made the classifier; such figures flatter
 */
export type Measured = 'held out' | 'cross-validation' | 'fitted';

export interface ErrorRates {
  readonly measuredOn: Measured;
  readonly nominal: number;
  readonly anomalous: number;
  /** Flagged nominal traces. */
  readonly falsePositives: Proportion;
  /** Anomalous traces that were not flagged. */
  readonly falseNegatives: Proportion;
  /** Anomalous among the flagged. */
  readonly precision: Proportion;
  /** Flagged among the anomalous. */
  readonly recall: Proportion;
  readonly ranking: RankingQuality;
  /** By family of the anomalous traces, against all nominal ones; empty without families. */
  readonly families: readonly FamilyRates[];
}

export interface FamilyRates {
  readonly family: string;
  readonly recall: Proportion;
  readonly ranking: RankingQuality;
}

export function errorRates(traces: readonly Judged[], measuredOn: Measured): ErrorRates {
  const nominal = traces.filter((trace) => trace.sample.label === 'nominal');
  const anomalous = traces.filter((trace) => trace.sample.label === 'anomalous');
  const flagged = (list: readonly Judged[]): number => list.filter((t) => t.isFlagged).length;
  const scores = (list: readonly Judged[]): number[] => list.map((trace) => trace.score);
  const hits = flagged(anomalous);
  const falseAlarms = flagged(nominal);
  const families = [...new Set(anomalous.map((trace) => trace.sample.family))]
    .filter((family) => family !== undefined)
    .sort();
  return {
    measuredOn,
    nominal: nominal.length,
    anomalous: anomalous.length,
    falsePositives: proportion(falseAlarms, nominal.length),
    falseNegatives: proportion(anomalous.length - hits, anomalous.length),
    precision: proportion(hits, hits + falseAlarms),
    recall: proportion(hits, anomalous.length),
    ranking: rankingQuality(scores(nominal), scores(anomalous)),
    families: families.map((family) => {
      const members = anomalous.filter((trace) => trace.sample.family === family);
      return {
        family,
        recall: proportion(flagged(members), members.length),
        ranking: rankingQuality(scores(nominal), scores(members)),
      };
    }),
  };
}
