/**
 * How a transfer finds its target, which decides how much the code says of it: the mechanisms of
 * `AllowedTargets`, beside returns and what no image tells.
 */
export const transferForms = [
  'return',
  'stub',
  'binder',
  'table',
  'virtual',
  'member',
  'pointer',
  'unknown',
] as const;

/**
 * What sort of target a transfer reached, the narrowest that the code tells: classes of `AllowedTargets`,
 * and returns that do not go to their call.
 */
export const targetSorts = [
  /** Nothing is known about the code. */
  'unknown',
  'named',
  'position',
  'label',
  'function',
  'arguments',
  'taken',
  'exported',
  'entry',
  'instruction',
  'anywhere',
  /** A return that goes neither to its call nor anywhere else that the run explains. */
  'not-a-call',
] as const;

export type TargetSort = (typeof targetSorts)[number];

/**
 * Sorts that the code itself bounds: it names the targets, or they lie in the function of the jump. No
 * pointer that somebody may have changed leads from one to another of them.
 */
export const boundedSorts: readonly TargetSort[] = ['named', 'label', 'function'];

/**
 * Sorts of targets that no code means: new code may well reach new targets, but none of these. (A function
 * that nothing refers to may be reached by a pointer that was computed.)
 */
export const forbiddenSorts: readonly TargetSort[] = ['instruction', 'anywhere', 'not-a-call'];

/** About how many targets of each sort a transfer could reach, where its own code does not say. */
export const usualCounts: readonly number[] = [
  1000, 20, 300, 60, 500, 1000, 3000, 6000, 20_000, 1e6, 1e14, 3e5,
];

/** What the code says of one transfer. */
export interface TargetOpinion {
  /** Index into `targetSorts`. */
  readonly sort: number;
  /** How many targets of this sort the transfer could reach; at least 1. */
  readonly count: number;
}

/** What the code of a process says about the transfers of its blocks. */
export interface TransferCode {
  /** @returns whether the code may say exactly where the block's transfer goes */
  mayExplain(block: number): boolean;
  /** @returns whether it is where it went; asked once for each pair of blocks */
  explains(from: number, to: number): boolean;
  opinion(from: number, to: number): TargetOpinion;
  /** @returns index into `transferForms` */
  formOf(block: number): number;
}

/** Where there is no image there is no such knowledge, and nothing is guessed. */
export const unknownCode: TransferCode = {
  mayExplain: () => false,
  explains: () => false,
  opinion: () => ({ sort: targetSorts.indexOf('unknown'), count: 1000 }),
  formOf: () => transferForms.indexOf('unknown'),
};
