import { cacheFolder } from '../../base/files/cache-folder.ts';
import { debugDirsOption as debugDirs } from '../../commands/samples/options.ts';
import type { NameSourceOptions } from '../../names/name-sources.ts';
import { type OptionSpec, specOf } from '../frame/option.ts';

/** Of commands that name places in code. */
export const debugDirsOption: OptionSpec = specOf(debugDirs);

/**
 * Where names come from, beside the images themselves: the folders given, then those where systems keep
 * debug files, and programs that know lines of source.
 *
 * @see debuginfod_find_debuginfo(3) for where its cache lies
 */
export function namesOf(given: readonly string[] | undefined): NameSourceOptions {
  const { DEBUGINFOD_CACHE_PATH: own, PATH: search } = process.env;
  const cache = own ?? cacheFolder('debuginfod_client');
  return { debugDirs: [...(given ?? []), '/usr/lib/debug', cache], search };
}
