/** What became of a run that was judged while it went on. */
export interface LiveOutcome {
  readonly verdict: 'anomalous' | 'nominal' | 'not-judged';
  readonly pValue: number;
  readonly score: number;
  readonly blocks: number;
  readonly gaps: number;
  /** Why the whole sample may be judged otherwise; empty where it is not. */
  readonly inexact: readonly Inexact[];
}

/** Why a whole sample may be judged otherwise than the run was while it went on. */
export type Inexact = 'threads' | 'mapped-later' | 'made-code' | 'skipped';
