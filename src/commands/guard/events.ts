import type { PassedPlace } from '../samples/evaluating/known-places.ts';
import type { AlarmReport } from './live/alarm.ts';
import type { Inexact, Judgement } from './live/outcome.ts';

/** What a guard tells, in order; one line each with `--json`. `docs/schemas/guard-event.schema.json` */
export type GuardEvent =
  | {
      readonly event: 'started';
      readonly program: string;
      readonly fpr: number;
      readonly onAlarm: OnAlarm;
    }
  /** A process is followed from now on; `profile` judges it, or nothing does. */
  | {
      readonly event: 'process';
      readonly pid: number;
      readonly parentPid: number;
      readonly program: string;
      readonly origin: 'start' | 'fork' | 'exec';
      readonly profile: string | undefined;
      /** Why no profile judges it. */
      readonly why: string | undefined;
    }
  | ({
      readonly event: 'alarm';
      readonly pid: number;
      readonly program: string;
      readonly evidence: string;
    } & AlarmReport)
  /** What was done after an alarm. */
  | {
      readonly event: 'action';
      readonly pid: number;
      readonly action: OnAlarm;
      readonly registers: readonly Readonly<Record<string, string>>[];
    }
  /** Why alarms of a process may be none, or how they can be made better. */
  | { readonly event: 'warning'; readonly pid: number; readonly what: string }
  /** Something that was not followed, or is not any more. */
  | { readonly event: 'lost'; readonly pid: number; readonly what: string }
  /** Blocks were left out so that the program is not slowed, since the last such event. */
  | { readonly event: 'skipped'; readonly pid: number; readonly blocks: number }
  | ({
      readonly event: 'process-ended';
      readonly pid: number;
      readonly program: string;
    } & ProcessVerdict)
  | {
      readonly event: 'ended';
      readonly exitCode: number | undefined;
      readonly killedBy: string | undefined;
      readonly alarms: number;
      readonly processes: number;
      readonly blocks: number;
      readonly skippedBlocks: number;
      readonly lost: number;
      readonly seconds: number;
    };

export type OnAlarm = 'log' | 'stop' | 'kill';

/** The verdict on a process that has ended. */
export interface ProcessVerdict extends Judgement {
  readonly blocks: number;
  readonly gaps: number;
  readonly skippedBlocks: number;
  /** There was an alarm while it ran, whatever the verdict is. */
  readonly wasAlarmed: boolean;
  /** Where the verdict comes from: what was found while it ran, or the whole sample, judged again, and why. */
  readonly judged: 'live' | 'again';
  readonly because: readonly Inexact[];
  /** Transfers that somebody found harmless, and that it made while it was judged. */
  readonly knownPlaces: readonly PassedPlace[];
  /** Its sample, where it is kept. */
  readonly sample: string | undefined;
  /** Why what it did was not followed to its end. */
  readonly damage: string | undefined;
}
