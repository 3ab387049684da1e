import { readdirSync, rmSync, type Stats, statSync } from 'node:fs';
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

/**
 * Takes away the oldest files of one form, where a folder holds more than `most`, until `left` are left.
 *
 * @throws the system's error where the folder cannot be read, or a file not be taken away
 */
export function removeOldest(folder: string, form: RegExp, most: number, left: number): void {
  const kept = readdirSync(folder).filter((name) => form.test(name));
  if (kept.length <= most) return;
  const times = kept.map((name) => ({ name, time: statSync(join(folder, name)).mtimeMs }));
  times.sort((a, b) => b.time - a.time);
  // Somebody else may have taken it away meanwhile.
  for (const { name } of times.slice(left)) rmSync(join(folder, name), { force: true });
}
