import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';

/**
 * The environment of a thread. Compiled code that is kept for its starter is kept for it, too: what was enabled by a
 * call holds for the thread that made it only.
 *
 * @see Node's documentation of `module.enableCompileCache`
 */
export function threadEnvironment(): NodeJS.ProcessEnv {
  const folder = getCompileCacheDir();
  return folder === undefined
    ? process.env
    : { ...process.env, NODE_COMPILE_CACHE: dirname(folder) };
}
