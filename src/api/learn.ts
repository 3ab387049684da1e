import { type LearnResult, learn as learnSamples } from '../commands/learn.ts';
import type { LearnRequest } from '../commands/training/options.ts';
import { type CallOptions, call, checkPath } from './call.ts';

/** Everything that `wayward learn` can be told, under the names of its options. */
export interface LearnSettings extends LearnRequest {
  /** Holds one folder a sample, or `traces` and `bin`. */
  readonly root: string;
}

/**
 * Learns a program's normal control flow from recordings of harmless runs, into a folder of its own
 * below `runs` of `settings.out`, which is the current folder where nothing is said.
 *
 * @example
 * const { profile } = await learn({ root: 'recordings' });
 *
 * @throws UserError; the signal's reason
 */
export async function learn(
  settings: LearnSettings,
  options: CallOptions = {},
): Promise<LearnResult> {
  checkPath(settings?.root, 'root');
  return call(options, (context) => learnSamples(settings, context));
}
