import { UserError } from '../base/errors.ts';
import { makeWorkFolder, removeQuietly } from '../base/files/folder.ts';
import {
  type JudgedSample,
  type JudgeRequest,
  type JudgeResult,
  judge as judgeSamples,
} from '../commands/judge.ts';
import { type CallOptions, call, checkPath } from './call.ts';

export interface JudgeOptions extends CallOptions, Omit<JudgeRequest, 'profile' | 'samples'> {
  /** Where the folder of the judged runs is made, for `report`; where nothing is said, none is kept. */
  readonly out?: string;
  /** Takes each sample as soon as it is judged. */
  readonly onJudged?: (sample: JudgedSample) => void;
}

/**
 * Judges one recording with what was learned.
 *
 * @param profile  file that `learn` wrote, or the folder of its run
 * @param sample  the recording's folder
 * @example
 * const { verdict, pValue, place } = await judge('reader.wayward', 'new/traces/doc1');
 *
 * @throws UserError, `not-judged` where the sample cannot be read; the signal's reason
 */
export async function judge(
  profile: string,
  sample: string,
  options: JudgeOptions = {},
): Promise<JudgedSample> {
  checkPath(sample, 'the sample');
  const { judged, skipped } = await judgeAll(profile, [sample], options);
  const [first] = judged;
  if (first !== undefined) return first;
  throw new UserError('not-judged', skipped[0]?.reason ?? 'holds no sample', {
    category: 'input',
  });
}

/**
 * Judges many recordings: what is learned is read once. What cannot be read is named in `skipped`.
 *
 * @param samples  folders of recordings, or folders that hold some
 * @throws UserError; the signal's reason
 */
export async function judgeAll(
  profile: string,
  samples: readonly string[],
  options: JudgeOptions = {},
): Promise<JudgeResult> {
  checkPath(profile, 'the profile');
  for (const sample of samples) checkPath(sample, 'a sample');
  const { signal, onProgress, onMessage, onJudged, ...settings } = options;
  const out = settings.out ?? (await makeWorkFolder('wayward-judge-'));
  try {
    return await call(options, (context) =>
      judgeSamples({ ...settings, profile, samples, out }, context, onJudged),
    );
  } finally {
    if (settings.out === undefined) await removeQuietly(out);
  }
}
