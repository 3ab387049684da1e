import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Folder of the user for what can be made anew; need not exist. `bin/start.cjs` keeps compiled code there.
 *
 * @see XDG Base Directory Specification 0.8
 */
export function cacheFolder({ XDG_CACHE_HOME }: NodeJS.ProcessEnv = process.env): string {
  return join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'wayward');
}
