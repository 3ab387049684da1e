import type { PassedPlace } from '../../samples/evaluating/known-places.ts';

/** A verdict and what it comes from. */
export interface Judgement {
  readonly verdict: 'anomalous' | 'nominal' | 'not-judged';
  readonly pValue: number | undefined;
  readonly score: number | undefined;
}

/** What became of a run that was judged while it went on. */
export interface LiveOutcome extends Judgement {
  readonly blocks: number;
  readonly gaps: number;
  /** Transfers that somebody found harmless, and that it made. */
  readonly knownPlaces: readonly PassedPlace[];
  /** Why the whole sample may be judged otherwise; empty where it is not. */
  readonly inexact: readonly Inexact[];
}

/** Why a whole sample may be judged otherwise than the run was while it went on. */
export type Inexact = 'threads' | 'mapped-later' | 'made-code' | 'skipped' | 'other-builds';

export const notJudged: Judgement = {
  ...{ verdict: 'not-judged', pValue: undefined, score: undefined },
};

export const nothingJudged: LiveOutcome = {
  ...notJudged,
  ...{ blocks: 0, gaps: 0, knownPlaces: [], inexact: [] },
};
