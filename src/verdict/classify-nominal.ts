import { UserError } from '../base/errors.ts';
import type { SampleIdentity } from '../evaluation/evaluation.ts';
import {
  type CalibrationBound,
  calibrationBound,
  checkCalibrationSize,
  conformalPValue,
} from './conformal.ts';
import { chooseFeatures, type FeatureName, surpriseName } from './features/feature-table.ts';
import { feature, type TraceFeatures } from './features/features.ts';
import { surpriseLengths } from './features/worst-window.ts';
import {
  claimedChance,
  exchanged,
  improbability,
  improbabilityScore,
  referenceOf,
  scoreOfChance,
} from './improbability.ts';
import { type ErrorRates, errorRates } from './rates.ts';
import { type ShiftCheck, shiftCheck } from './shift.ts';
import { standardizedSuspicion } from './standardize.ts';
import { callSuspicion, type Reason, type Suspicion, suspicion } from './suspicion.ts';

export interface NominalOptions {
  /** Share of nominal traces that may be flagged. */
  readonly fpr: number;
  /** `all`, `first-layer`, `calls`, `classic`, or names of features separated by commas. */
  readonly features: string;
  /** For the permutations of the shift check. */
  readonly seed: number;
}

/** The decision on one trace. */
export interface Verdict {
  readonly sample: SampleIdentity;
  readonly isFlagged: boolean;
  /**
   * Conformal; for calibration traces against the other calibration traces, NaN for training traces. Where histories
   * predicted, never below what the model itself claims (`claimedChance`).
   */
  readonly pValue: number;
  /** Larger = more suspicious. Comparable within one run of `classifyNominal` only. */
  readonly score: number;
  /** What the score is made of, largest first. */
  readonly reasons: readonly Reason[];
  readonly features: TraceFeatures;
}

export interface NominalVerdicts {
  readonly method: 'nominal-only';
  readonly features: string;
  /** Chosen features that some trace does not have, and that therefore count for none. */
  readonly leftOut: readonly string[];
  readonly bound: CalibrationBound;
  /** Traces whose score is above this are flagged. */
  readonly threshold: number;
  /** In the order given. Only verdicts on traces with role `test` say how well this works. */
  readonly verdicts: readonly Verdict[];
  /** Scores of calibration traces against those of the test traces not labelled anomalous. */
  readonly shift: ShiftCheck;
  /** On traces with role `test`, by their labels. */
  readonly heldOut: ErrorRates;
}

/**
 * Decides on traces from nominal calibration traces alone: split conformal p-values of one
 * combined score, one unit a trace.
 *
 * Calibration traces are those with role `calibration`; they must not have trained the model.
 *
 * @throws UserError `calibration-too-small`, `calibration-anomalous`, `fpr-invalid`,
 *   `feature-unknown`, `features-not-available`
 */
export function classifyNominal(
  traces: readonly TraceFeatures[],
  options: NominalOptions,
): NominalVerdicts {
  const { fpr, features: choice, seed } = options;
  const judged = choice === 'all' || choice === 'first-layer';
  const byHistories =
    judged && traces.every((trace) => !Number.isNaN(feature(trace, surpriseName(1))));
  const chosen = byHistories ? surpriseLengths.map(surpriseName) : chooseFeatures(choice);
  const isLacking = (name: FeatureName): boolean =>
    traces.some((trace) => Number.isNaN(feature(trace, name)));
  const leftOut = chosen.filter(isLacking);
  const names = chosen.filter((name) => !leftOut.includes(name));
  if (names.length === 0) {
    throw new UserError(
      'features-not-available',
      `none of the chosen features is in every evaluation: ${leftOut.join(', ')}`,
      { category: 'input' },
    );
  }
  const calibration = traces.filter(calibrates);
  const anomalous = calibration.filter((trace) => trace.sample.label === 'anomalous');
  if (anomalous.length > 0) {
    throw new UserError(
      'calibration-anomalous',
      `${anomalous.length} calibration traces are labelled malicious; the first is ${anomalous[0].sample.name}`,
      { category: 'input' },
    );
  }
  checkCalibrationSize(calibration.length, fpr);
  const judge = byHistories ? judgeByHistories(calibration) : judgeFor(choice, names, calibration);
  const verdicts = traces.map((trace): Verdict => {
    const { score, reasons, pValue } = judge(trace);
    const isTraining = trace.sample.role === 'training' && trace.isLeftOut !== true;
    return {
      sample: trace.sample,
      isFlagged: pValue <= fpr,
      pValue: isTraining ? Number.NaN : pValue,
      score,
      reasons,
      features: trace,
    };
  });
  const test = verdicts.filter((verdict) => verdict.sample.role === 'test');
  const scoresOf = (list: readonly Verdict[]): number[] => list.map((verdict) => verdict.score);
  const calibrationScores = scoresOf(verdicts.filter((v) => calibrates(v.features)));
  const bound = calibrationBound(calibration.length, fpr);
  const rank = Math.round(bound.expected * (calibration.length + 1));
  return {
    method: 'nominal-only',
    features: choice,
    leftOut,
    bound,
    threshold: Math.max(
      calibrationScores.sort((a, b) => b - a)[rank - 1],
      byHistories ? scoreOfChance(fpr, referenceOf(calibration)) : 0,
    ),
    verdicts,
    shift: shiftCheck(
      calibrationScores,
      scoresOf(test.filter((verdict) => verdict.sample.label === 'nominal')),
      seed,
    ),
    heldOut: errorRates(test, 'held out'),
  };
}

/** A trace's score, and how probable one as large is among calibration traces. */
type Judge = (trace: TraceFeatures) => Suspicion & { readonly pValue: number };

/** Whether a trace sets thresholds: it trained nothing, or was judged as if it had not. */
export function calibrates({ sample, isLeftOut }: TraceFeatures): boolean {
  return sample.role === 'calibration' || isLeftOut === true;
}

/**
 * Scores by what nominal runs show. The trace that is judged is one of them, too, where others are
 * compared with it, so that which one is judged makes no difference: p-values stay exact.
 */
function judgeByHistories(calibration: readonly TraceFeatures[]): Judge {
  const whole = referenceOf(calibration);
  return (trace) => {
    const isOwn = calibrates(trace);
    const others = isOwn ? calibration.filter((other) => other !== trace) : calibration;
    const reference = isOwn ? referenceOf(others) : whole;
    const suspicion = improbability(trace, reference);
    const scores = Float64Array.from(others, (other) =>
      improbabilityScore(other, exchanged(reference, other, trace)),
    );
    const pValue = conformalPValue(scores.sort(), suspicion.score);
    return { ...suspicion, pValue: Math.max(pValue, claimedChance(trace)) };
  };
}

/** A decision that needs no other runs than those that calibrate. */
export type NominalDecision = Pick<Verdict, 'isFlagged' | 'pValue' | 'score' | 'reasons'>;

/**
 * As `classifyNominal` with all features, for runs of histories that are judged one by one, or again and
 * again while they go on: only `surprise-<blocks>` is asked for. Where one of these grows, the p-value
 * does not, so that a run that is flagged stays flagged.
 *
 * @throws UserError `calibration-too-small`, `fpr-invalid`
 */
export function nominalDecision(
  calibration: readonly TraceFeatures[],
  fpr: number,
): (trace: TraceFeatures) => NominalDecision {
  checkCalibrationSize(calibration.length, fpr);
  const judge = judgeByHistories(calibration);
  return (trace) => {
    const { score, reasons, pValue } = judge(trace);
    return { isFlagged: pValue <= fpr, pValue, score, reasons };
  };
}

function judgeFor(
  choice: string,
  names: readonly FeatureName[],
  calibration: readonly TraceFeatures[],
): Judge {
  const without = (scores: Float64Array, trace: TraceFeatures): Float64Array => {
    const own = calibration.indexOf(trace);
    return own < 0 ? scores : scores.filter((_, index) => index !== own);
  };
  if (choice === 'all' || choice === 'first-layer' || choice === 'calls') {
    const scoreOf = (trace: TraceFeatures): Suspicion =>
      choice === 'calls' ? callSuspicion(trace) : suspicion(trace, choice === 'all');
    const scores = Float64Array.from(calibration, (trace) => scoreOf(trace).score);
    const sorted = scores.slice().sort();
    return (trace) => {
      const own = scoreOf(trace);
      const others = calibrates(trace) ? without(scores, trace).sort() : sorted;
      return { ...own, pValue: conformalPValue(others, own.score) };
    };
  }
  return (trace) => {
    const others = calibration.filter((other) => other !== trace);
    const all = standardizedSuspicion([...others, trace], names);
    const scores = Float64Array.from(all.slice(0, -1), (item) => item.score).sort();
    const own = all[all.length - 1];
    return { ...own, pValue: conformalPValue(scores, own.score) };
  };
}
