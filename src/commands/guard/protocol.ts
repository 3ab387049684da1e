import type { ErrorCategory } from '../../base/errors.ts';
import type { NameSourceOptions } from '../../names/name-sources.ts';
import type { GuardingRequest, ProfileList } from './guard-profiles.ts';
import type { AlarmReport } from './live/alarm.ts';
import type { Judgement, LiveOutcome } from './live/outcome.ts';
import type { SharedProgress } from './progress.ts';

/** What the judging thread is told, in order. A *run* is one process. */
export type ToJudge =
  | {
      readonly type: 'open';
      readonly run: number;
      /** Index of the profile that judges it. */
      readonly profile: number;
      readonly program: string;
      readonly bitness: 32 | 64;
      /** Where it is counted what has been judged. */
      readonly progress: SharedProgress;
    }
  /** What lies where, as `/proc/PID/maps` has it. Comes before any trace. */
  | { readonly type: 'map'; readonly run: number; readonly text: string }
  | {
      readonly type: 'made';
      readonly run: number;
      readonly start: number;
      readonly code: Uint8Array;
    }
  /** @param blocks  so many have run for these bytes */
  | {
      readonly type: 'trace';
      readonly run: number;
      readonly thread: number;
      readonly bytes: Uint8Array;
      readonly blocks: number;
    }
  /** What would follow was left out. */
  | { readonly type: 'skip'; readonly run: number }
  | { readonly type: 'end-thread'; readonly run: number; readonly thread: number }
  | { readonly type: 'end'; readonly run: number }
  /**
   * What it has written of a run that has ended is to be judged as a whole.
   *
   * @param map  all that was ever mapped
   * @param threads  of the sample
   */
  | {
      readonly type: 'again';
      readonly run: number;
      readonly map: string;
      readonly sample: string;
      readonly threads: number;
    }
  /** A run that has ended is done with. */
  | { readonly type: 'close'; readonly run: number };

/** What it tells of a run. */
export type OfRun =
  /** No more blocks wait than was asked for. */
  | { readonly type: 'caught-up'; readonly run: number }
  /** The run is anomalous; what there is to say of it follows as `alarm`. */
  | { readonly type: 'strayed'; readonly run: number }
  | { readonly type: 'alarm'; readonly run: number; readonly alarm: AlarmReport }
  /** Of the thread that raised the last alarm, oldest first. */
  | { readonly type: 'last-blocks'; readonly run: number; readonly lines: readonly string[] }
  | { readonly type: 'warning'; readonly run: number; readonly what: string }
  | { readonly type: 'ended'; readonly run: number; readonly outcome: LiveOutcome }
  /** The answer to `again`; `undefined` where the traces could not be read. */
  | {
      readonly type: 'judged-again';
      readonly run: number;
      readonly judgement: Judgement | undefined;
    };

export type FromJudge =
  | ({ readonly type: 'ready' } & ProfileList)
  | { readonly type: 'failed'; readonly error: SentError }
  | OfRun;

/** A `UserError` on its way between threads. */
export interface SentError {
  readonly code: string;
  readonly message: string;
  readonly category: ErrorCategory;
}

/** What the thread starts with. */
export interface JudgeThreadData extends GuardingRequest {
  /** Of what is guarded: its profile is opened before it is told that all is ready. */
  readonly program: string;
  /** Where names come from, beside the images. */
  readonly names: NameSourceOptions | undefined;
}
