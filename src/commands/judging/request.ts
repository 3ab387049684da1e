import type { TraceReading } from '../samples/opened-traces.ts';

/** Share of nominal runs that may be flagged, where nobody says another. */
export const usualRate: number = 0.05;

/** What commands are asked for that judge samples with what was learned before. */
export interface JudgingRequest extends Partial<TraceReading> {
  /** File of a profile, or the folder of the run that learned it. */
  readonly profile: string;
  /** Samples, and folders of them. */
  readonly samples: readonly string[];
  /** Share of nominal runs that may be flagged; by default `usualRate`. */
  readonly fpr?: number;
  readonly seed?: number;
  readonly device?: string;
  /** Seconds for reading one sample. */
  readonly timeout?: number | undefined;
  /** Folder that keeps what was found out about images for the next process; without it nothing is kept. */
  readonly factsFolder?: string | undefined;
}
