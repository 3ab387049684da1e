import { join } from 'node:path';
import { cacheFolder } from '../../base/files/cache-folder.ts';
import { decimal, integer, text } from '../../base/options/option.ts';
import type { JudgingRequest } from '../../commands/judging/request.ts';
import type { OptionSpec } from '../frame/option.ts';
import { type ReadingFlags, readingOf, readingOptions } from './reading-flags.ts';

/** How samples are judged by a profile: options of `judge` and `accept`. */
export interface ProfileFlags extends ReadingFlags {
  readonly fpr: number;
  readonly seed: number;
  readonly device: string;
  readonly timeout: number | undefined;
}

export const profileOptions: readonly OptionSpec[] = [
  ...readingOptions,
  {
    flags: '--fpr <rate>',
    help: 'share of harmless runs that may be flagged',
    parse: decimal(0, 1, 'open'),
    default: 0.05,
  },
  { flags: '--seed <n>', help: 'fixes permutations', parse: integer(0, 4294967295), default: 1 },
  {
    flags: '--device <name>',
    help: 'cpu, webgpu or cuda:N, for a network',
    parse: text,
    default: 'cpu',
  },
  {
    flags: '-t, --timeout <seconds>',
    help: 'time for reading one sample; one that takes longer is left out [any]',
    parse: decimal(0, 1e6, 'open'),
  },
];

/** @param args  the command's words: a profile, and samples */
export function requestOf(
  [profile = '', ...samples]: readonly string[],
  o: ProfileFlags,
): JudgingRequest {
  const { fpr, seed, device, timeout } = o;
  return { ...readingOf(o), profile, samples, fpr, seed, device, timeout, factsFolder };
}

/** Sources may find out something else from one start to the next, and nobody numbers them. */
export const factsFolder: string | undefined = import.meta.url.endsWith('.ts')
  ? undefined
  : join(cacheFolder(), 'code');
