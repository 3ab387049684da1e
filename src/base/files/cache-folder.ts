import type { Stats } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Folder of the user in which a program keeps what can be made anew; need not exist. In our own, `bin/start.cjs`
 * keeps compiled code.
 *
 * @param program  by default Wayward itself
 *
 * @see XDG Base Directory Specification 0.8
 */
export function cacheFolder(program: string = 'wayward'): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), program);
}

/** @returns whether a file that lies there can have been written by nobody but this user, or root */
export function mayBeBelieved(found: Stats): boolean {
  const isOwn = found.uid === 0 || found.uid === process.getuid?.();
  return found.isFile() && isOwn && (found.mode & 0o022) === 0;
}
