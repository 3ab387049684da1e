import { exitCodes } from '../frame/failure.ts';
import type { OptionSpec } from '../frame/option.ts';

/** What a command ends with that found something, where it was asked with `--exit-code`. */
export const anomaliesFound = 10;

export const exitCodeOption: OptionSpec = {
  flags: '--exit-code',
  help: `end with ${anomaliesFound} when a sample is anomalous, with ${exitCodes.input} when one was left out`,
};

/**
 * What a command that gives verdicts ends with. A gate asks with `--exit-code`: a sample that was left out may be the
 * one that strayed, so that "nothing strayed" is not known then.
 *
 * @param asked  whether `--exit-code` was given
 */
export function verdictCode(
  asked: boolean,
  { anomalous, leftOut }: { readonly anomalous: number; readonly leftOut: number },
): number {
  if (!asked) return 0;
  if (anomalous > 0) return anomaliesFound;
  return leftOut > 0 ? exitCodes.input : 0;
}
