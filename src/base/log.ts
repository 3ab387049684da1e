/** Levels as the command line counts them: `-l 10..50`. */
export const logLevels = { debug: 10, info: 20, warning: 30, error: 40, critical: 50 } as const;
export type LogLevel = keyof typeof logLevels;

/**
 * Where the library tells what it does. The library never prints: the command line passes a
 * logger in, and without one it is silent.
 */
export interface Logger {
  log(level: LogLevel, message: string, facts?: Readonly<Record<string, unknown>>): void;
}

export const silentLogger: Logger = { log: () => {} };

/** What work is at, as people read it. */
export type Step =
  | 'comparing traces'
  | 'cutting slices'
  | 'cutting'
  | 'decoding'
  | 'evaluating'
  | 'judging'
  | 'learning'
  | 'looking for copies'
  | 'looking into traces'
  | 'predicting'
  | 'reading evaluations'
  | 'reading traces'
  | 'recording'
  | 'training'
  | `training, epoch ${number}/${number}`
  | 'writing';

/**
 * How far a long step has come.
 *
 * `done` and `total` are in `unit`; `total` 0 means unknown. `facts` are figures worth showing
 * beside the bar, such as loss or windows a second.
 */
export interface Progress {
  readonly step: Step;
  readonly done: number;
  readonly total: number;
  readonly unit: string;
  readonly facts?: Readonly<Record<string, number | string>>;
}

export type ProgressSink = (progress: Progress) => void;
