import { evidenceKinds, evidenceRules } from '../evidence/rules.ts';
import type { FeatureName } from './features/feature-table.ts';
import { feature, type TraceFeatures } from './features/features.ts';
import { suddenPoints } from './features/surprises.ts';
import { crowdLengths } from './features/worst-window.ts';

/** One part of a trace's suspicion score. */
export interface Reason {
  readonly feature: FeatureName;
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
 * A trace runs about this many different indirect calls and jumps (600 to 1,300 in the traces looked
 * at), and each is a chance for something unlikely.
 */
const siteChances: number = Math.log(1000);
/** A hint that chance does not explain weighs as much as the first layer's surprises. */
const hintPoints = 4;

/** @param count  proofs of one kind */
export function pointsOfProofs(count: number): number {
  return count === 0 ? 0 : proofPoints * (1 + Math.log(count));
}

/** @param weight  nats; @returns points for what exceeds chance */
export function pointsOfHint(weight: number): number {
  return hintPoints * Math.max(0, weight - siteChances);
}

/**
 * The combined score of the nominal-only method. It is fixed before any trace is seen: its
 * constants come from no data, so that one calibration set is enough for an exact threshold.
 *
 * Proofs come first; then hints, in nats above what so many transfers bring by chance, and the
 * surprises of the first layer that are crowded into few blocks or sudden. Averages are no part of it: a hijack of twenty
 * blocks does not move the average of a million.
 */
export function suspicion(trace: TraceFeatures, withEvidence: boolean): Suspicion {
  const reasons: Reason[] = [];
  const add = (name: FeatureName, points: number): void => {
    if (points > 0) reasons.push({ feature: name, value: feature(trace, name), points });
  };
  if (withEvidence) {
    for (const kind of evidenceKinds) {
      const name = `evidence-${kind}` as const;
      const count = feature(trace, name);
      if (evidenceRules[kind].strength !== 'proof' || count === 0) continue;
      add(name, pointsOfProofs(count));
    }
    add('hint-weight', pointsOfHint(feature(trace, 'hint-weight')));
    add('outsideBlocks', Math.log1p(feature(trace, 'outsideBlocks')));
  }
  if (Number.isNaN(feature(trace, 'nll'))) {
    // Evaluations of the ancestor hold neither the probability of what came nor what is unseen.
    add('worst-wrongConfidence-10', 10 * feature(trace, 'worst-wrongConfidence-10'));
  } else {
    // What the learner finds improbable and what training has never seen count alike.
    for (const length of crowdLengths) {
      const points = (name: FeatureName): number => (2 / length) * feature(trace, name);
      add(`crowded-surprise-${length}`, points(`crowded-surprise-${length}`));
      add(`crowded-unseen-${length}`, points(`crowded-unseen-${length}`));
    }
    add('sudden-unknown', suddenPoints * feature(trace, 'sudden-unknown'));
  }
  let score = 0;
  for (const reason of reasons) score += reason.points;
  reasons.sort((a, b) => b.points - a.points);
  return { score, reasons };
}

/** Of the worst steps of a log of calls, beside the mean of all. */
const worstShare = 0.25;

/**
 * The combined score of logs of calls. They are short, and what strays in them often does so
 * throughout: the mean surprise of a step says most. A quarter of that of the worst 50 in a row
 * keeps a short patch in a long log from drowning.
 */
export function callSuspicion(trace: TraceFeatures): Suspicion {
  const reasons = (
    [
      ['nll', 1],
      ['worst-nll-50', worstShare],
    ] as const
  ).map(([name, weight]): Reason => {
    const value = feature(trace, name);
    // Evaluations in the ancestor's format do not hold it.
    return { feature: name, value, points: Number.isNaN(value) ? 0 : weight * value };
  });
  const score = reasons.reduce((sum, { points }) => sum + points, 0);
  return { score, reasons: reasons.sort((a, b) => b.points - a.points) };
}
