import { firstAtLeast } from '../../base/bytes/search.ts';
import type { Evaluation } from '../../evaluation/evaluation.ts';
import type { Evidence } from '../../evidence/evidence.ts';
import { evidenceRules } from '../../evidence/rules.ts';
import { findPatches } from '../../verdict/patches.ts';

/** A stretch of an anomalous trace that is compared with those of other traces. */
export interface Slice {
  /** 1 = the most suspicious of its trace. */
  readonly rank: number;
  /** Block index of its first block, and of the one after its last. */
  readonly start: number;
  readonly end: number;
  /** Of the patch; 0 where the slice was cut by correctness alone. */
  readonly points: number;
  /** What the trace proves or hints at inside the slice, damage left out. */
  readonly evidence: readonly Evidence[];
}

export interface PatchSliceOptions {
  /** Slices of a trace at most. */
  readonly most: number;
  /** Patches with less than this share of the points of the trace's worst one are left out. */
  readonly leastShare: number;
}

/** The patches that localisation finds, without those that pale beside the worst one. */
export function slicesOfPatches(evaluation: Evaluation, options: PatchSliceOptions): Slice[] {
  const patches = findPatches(evaluation, { most: options.most, withEvidence: true });
  const least = options.leastShare * (patches[0]?.points ?? 0);
  return patches
    .filter(({ points }) => points >= least)
    .map(({ rank, start, end, points, evidence }) => ({ rank, start, end, points, evidence }));
}

export interface WindowSliceOptions {
  /** Predictions that correctness is averaged over. */
  readonly window: number;
  /** Share of right predictions below which a window belongs to the slice. */
  readonly threshold: number;
}

/**
 * The ancestor's slice: from the first to the last window of predictions of which less than
 * `threshold` are right.
 *
 * @returns one slice; none when no window is that bad or the trace is shorter than a window
 */
export function slicesByCorrectness(evaluation: Evaluation, options: WindowSliceOptions): Slice[] {
  const { window, threshold } = options;
  const { occurrences, positions, predictions, histories } = evaluation;
  if (histories !== undefined) return sliceOfListed(evaluation, options, histories.ordinals);
  const isRight = (i: number): number =>
    predictions.predicted[occurrences[i]] === predictions.actual[occurrences[i]] ? 1 : 0;
  let right = 0;
  let first = -1;
  let last = -1;
  for (let i = 0; i < occurrences.length; i++) {
    right += isRight(i);
    if (i >= window) right -= isRight(i - window);
    if (i < window - 1 || right >= threshold * window) continue;
    if (first < 0) first = i - window + 1;
    last = i;
  }
  if (first < 0) return [];
  const start = positions[first];
  // The block that the last transfer of the slice reached belongs to it.
  const end = Math.min(positions[last] + 2, evaluation.trace.blocks);
  return [{ rank: 1, start, end, points: 0, evidence: evidenceIn(evaluation, start, end) }];
}

/** The same where only some transfers are listed; the others are right. */
function sliceOfListed(
  evaluation: Evaluation,
  { window, threshold }: WindowSliceOptions,
  ordinals: Int32Array,
): Slice[] {
  const { occurrences, positions, predictions } = evaluation;
  const isWrong = (i: number): boolean =>
    predictions.predicted[occurrences[i]] !== predictions.actual[occurrences[i]];
  let wrong = 0;
  let oldest = 0;
  let first = -1;
  let last = -1;
  for (let i = 0; i < occurrences.length; i++) {
    if (!isWrong(i)) continue;
    wrong++;
    for (; ordinals[oldest] <= ordinals[i] - window; oldest++) if (isWrong(oldest)) wrong--;
    if (ordinals[i] < window - 1 || window - wrong >= threshold * window) continue;
    if (first < 0) first = oldest;
    last = i;
  }
  if (first < 0) return [];
  const start = positions[first];
  const end = Math.min(positions[last] + 2, evaluation.trace.blocks);
  return [{ rank: 1, start, end, points: 0, evidence: evidenceIn(evaluation, start, end) }];
}

/** @returns the slice's transfers as a range of indices of `occurrences` */
export function transfersOf(
  evaluation: Evaluation,
  slice: Pick<Slice, 'start' | 'end'>,
): { readonly first: number; readonly last: number } {
  const { positions } = evaluation;
  return {
    first: firstAtLeast(positions, slice.start),
    // A transfer leads to the next block, which must lie in the slice, too.
    last: firstAtLeast(positions, slice.end - 1),
  };
}

function evidenceIn(evaluation: Evaluation, start: number, end: number): Evidence[] {
  return evaluation.evidence.filter(
    ({ kind, position }) =>
      position >= start && position < end && evidenceRules[kind].strength !== 'damage',
  );
}
