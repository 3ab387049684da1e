import { type TermPart, termParts } from './slice-terms.ts';

/** How a term's count becomes its weight: 1; the count; (1 + ln count) x inverse document frequency. */
export const weightings = ['presence', 'counts', 'tfidf'] as const;
export type Weighting = (typeof weightings)[number];

export const vectorKindNames: readonly ['behaviour', ...typeof termParts] = [
  'behaviour',
  ...termParts,
];
export type VectorKind = (typeof vectorKindNames)[number];

/**
 * What slices are compared by. Parts count alike: each is brought to length 1 before they are put
 * together.
 *
 * - `behaviour`: functions that ran, what the trace proves, how blocks ended: the best one in
 *   `bench/cluster.bench.ts`
 * - `classes`: the ancestor's
 */
const parts: Readonly<Record<VectorKind, readonly (readonly [TermPart, Weighting])[]>> = {
  behaviour: [
    ['functions', 'tfidf'],
    ['evidence', 'tfidf'],
    ['transfers', 'tfidf'],
  ],
  classes: [['classes', 'presence']],
  blocks: [['blocks', 'tfidf']],
  edges: [['edges', 'tfidf']],
  functions: [['functions', 'tfidf']],
  evidence: [['evidence', 'tfidf']],
  transfers: [['transfers', 'tfidf']],
};

/** @returns the parts of a kind of vector with their weighting, all alike when one is given */
export function partsOfVector(
  kind: VectorKind,
  weighting: Weighting | undefined,
): readonly (readonly [TermPart, Weighting])[] {
  return parts[kind].map(([part, own]) => [part, weighting ?? own]);
}

/** Whether the recording has to be read again for it. */
export function needsRecording(kind: VectorKind): boolean {
  return kind !== 'classes' && kind !== 'evidence';
}
