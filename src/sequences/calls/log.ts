import type { LineFormatName } from './line-format.ts';

/** Index into the `names` of one log. */
export type CallId = number;

/** Stands between calls where something was lost: windows do not run across it. */
export const lostCalls = -1;

export type CallLogFormat = 'report' | 'strace' | 'integers' | LineFormatName;

/** What one log holds: the calls of each thread, in order. */
export interface CallLog {
  readonly format: CallLogFormat;
  /** Names of calls, or their numbers, by `CallId`. */
  readonly names: readonly (string | number)[];
  /** Threads in the order in which they first called; `CallId`s and `lostCalls`. */
  readonly threads: readonly Int32Array[];
  /** What was left out or cut off, a clause each, for the user. */
  readonly notes: readonly string[];
}
