import { type Logger, type ProgressSink, silentLogger } from '../base/log.ts';
import type { Predictions, WindowSet } from '../sequences/windows.ts';

/** How a first layer is told what happens and told to stop. */
export interface RunContext {
  readonly log: Logger;
  readonly progress: ProgressSink;
  readonly signal?: AbortSignal;
}

/** Of a caller who wants to hear nothing. */
export const silentContext: RunContext = { log: silentLogger, progress: () => {} };

/** How well a first layer predicts a set of windows; every figure weighs windows by their counts. */
export interface FitScore {
  readonly loss: number;
  readonly accuracy: number;
  /** Share of windows whose target is among the k most probable classes, by k. */
  readonly topK: Readonly<Record<number, number>>;
  /** Expected calibration error of the confidences; see `calibrationError`. */
  readonly calibrationError: number;
  readonly windows: number;
  readonly occurrences: number;
}

/** A model of normal control flow, whatever it looks at. */
export interface LearnedLayer {
  readonly name: string;
  readonly inputClasses: number;
  readonly outputClasses: number;
  /** Identity of the fitted parameters: hex of a hash, the same wherever the same model is loaded. */
  readonly fingerprint: string;
  /** Writes the model's files into `directory`, each whole or not at all. */
  save(directory: string): Promise<void>;
  dispose(): Promise<void>;
}

/**
 * A model of windows: from the last blocks, where does this transfer go?
 *
 * Implementations live beside this file; each has its own options for making and fitting one.
 */
export interface FirstLayer extends LearnedLayer {
  readonly name: 'lstm' | 'ngram';
  readonly windowLength: number;
  predict(windows: WindowSet, context: RunContext): Promise<Predictions>;
}
