import { evidenceKinds, evidenceRules } from './evidence-kinds.ts';
import { feature, type TraceFeatures } from './features.ts';

/** One part of a trace's suspicion score. */
export interface Reason {
  readonly feature: string;
  readonly value: number;
  /** What it adds to the score. */
  readonly points: number;
}

export interface Suspicion {
  readonly score: number;
  /** Parts that add something, largest first. */
  readonly reasons: readonly Reason[];
}

/**
 * One proof outweighs any number of surprises: what a model finds surprising depends on what it
 * was shown, what the images rule out does not.
 */
const proofPoints = 1000;

/**
 * The combined score of the nominal-only method. It is fixed before any trace is seen: its
 * constants come from no data, so that one calibration set is enough for an exact threshold.
 *
 * Everything but proofs is in nats. A surprise counts only as far as it exceeds what so many
 * transfers bring by chance: the largest of N exponential deviates grows with ln N.
 */
export function suspicion(trace: TraceFeatures, withEvidence: boolean): Suspicion {
  const reasons: Reason[] = [];
  const add = (name: string, value: number, points: number): void => {
    if (points !== 0) reasons.push({ feature: name, value, points });
  };
  const chances = Math.log(1 + feature(trace, 'transfers'));
  const surprise = feature(trace, 'worst-nll-5');
  if (!Number.isNaN(surprise)) {
    add('worst-nll-5', surprise, 5 * surprise);
    add('transfers', feature(trace, 'transfers'), -chances);
  } else {
    // Evaluations of the ancestor do not hold the probability of what came.
    const wrong = feature(trace, 'worst-wrongConfidence-10');
    add('worst-wrongConfidence-10', wrong, 10 * wrong);
  }
  if (withEvidence) {
    for (const kind of evidenceKinds) {
      if (evidenceRules[kind].strength !== 'proof') continue;
      const count = feature(trace, `evidence-${kind}`);
      if (count > 0) add(`evidence-${kind}`, count, proofPoints * (1 + Math.log(count)));
    }
    const weight = feature(trace, 'hint-weight');
    add('hint-weight', weight, weight);
  }
  let score = 0;
  for (const reason of reasons) score += reason.points;
  reasons.sort((a, b) => b.points - a.points);
  return { score, reasons };
}
