import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isAbsent, messageOf, UserError } from '../errors.ts';
import { guardWrite, notReadable, writeFailed } from './failure.ts';

/** Others may take a folder away between two steps; one that refuses new ones with ENOENT does so for ever. */
const mostAttempts = 3;

/**
 * Makes a folder and those above it that are missing; others may make them at the same time. Node's
 * own recursion never ends below a folder that refuses new ones with ENOENT, as those in /proc do.
 *
 * @throws UserError `write-failed`
 */
export async function makeFolder(path: string): Promise<void> {
  const above = dirname(path);
  for (let attempt = 1; ; attempt++) {
    try {
      await mkdir(path);
      return;
    } catch (cause) {
      if (await isFolder(path)) return;
      const isAboveMissing = isAbsent(cause) && above !== path;
      if (!isAboveMissing || attempt === mostAttempts) throw writeFailed(path, cause);
    }
    await makeFolder(above);
  }
}

/**
 * Makes a folder of its own for what is needed for a while; `removeQuietly` takes it away.
 *
 * @param name  what it begins with
 * @throws UserError `write-failed`
 */
export async function makeWorkFolder(name: string, parent: string = tmpdir()): Promise<string> {
  const start = join(parent, name);
  return guardWrite(start, () => mkdtemp(start));
}

/** Writes a file of a work folder: nobody needs it after a kill, so it is not synced. @throws UserError `write-failed` */
export async function writeWorkFile(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  await guardWrite(path, () => writeFile(path, bytes));
}

/** Takes a file or folder away, whatever is in it. One that is not there is none to take away. @throws UserError `write-failed` */
export async function removeAll(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (cause) {
    throw new UserError('write-failed', `cannot be removed: ${messageOf(cause)}`, {
      category: 'runtime',
      path,
      cause,
    });
  }
}

/** Takes away what is no longer needed. Where that fails, what was done is done all the same. */
export async function removeQuietly(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => {});
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** @returns names of what lies in a folder; @throws UserError `not-readable` */
export async function listFolder(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (cause) {
    throw notReadable(path, cause);
  }
}
