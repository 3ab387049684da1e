/** One call as a line of a log tells it. */
export interface LineCall {
  /** `undefined` where the log does not say. */
  readonly process: number | undefined;
  readonly processName: string;
  readonly thread: string;
  /** Of the call, or its number. */
  readonly name: string | number;
}

/** What a line says: a call, or something that is none (an exit from a call, a detail of another line). */
export type Said = LineCall | 'no call';

/**
 * A log of calls with a line, or a record, for each event.
 *
 * A log is of a format only when each of its first lines is: a word that looks right somewhere says
 * nothing.
 */
export interface LineFormat {
  readonly name: LineFormatName;
  /** What people see: `a recording of LID-DS 2021`. */
  readonly title: string;
  /**
   * @returns what reads the lines below, when `line` is the header that a format has; `undefined` when
   *   it is not
   */
  header?(line: string): ((line: string) => Said | undefined) | undefined;
  /** @returns `undefined` when it is no line of this format */
  parse?(line: string): Said | undefined;
}

export type LineFormatName = 'lid-ds' | 'sysdig' | 'perf-trace' | 'auditd' | 'drakvuf' | 'procmon';
