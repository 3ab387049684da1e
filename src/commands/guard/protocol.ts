import type { AlarmReport } from './alarm.ts';
import type { LiveOutcome } from './outcome.ts';

/** What the judging thread is told, in order. A *run* is one process. */
export type ToJudge =
  | {
      readonly type: 'open';
      readonly run: number;
      readonly profile: number;
      readonly bitness: 32 | 64;
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
  | { readonly type: 'end'; readonly run: number };

export type FromJudge =
  | { readonly type: 'ready' }
  /** A message with so many blocks has been judged. */
  | { readonly type: 'done'; readonly run: number; readonly blocks: number }
  | { readonly type: 'alarm'; readonly run: number; readonly alarm: AlarmReport }
  /** Of the thread that raised the last alarm, oldest first. */
  | { readonly type: 'last-blocks'; readonly run: number; readonly lines: readonly string[] }
  | { readonly type: 'ended'; readonly run: number; readonly outcome: LiveOutcome }
  | { readonly type: 'failed'; readonly message: string };

/** What the thread starts with. */
export interface JudgeThreadData {
  /** Profiles' files. */
  readonly profiles: readonly string[];
  readonly fpr: number;
}
