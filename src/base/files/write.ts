import { randomBytes } from 'node:crypto';
import { createReadStream, type Stats, writeSync } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { isRunning } from '../running.ts';
import { type Destination, destinationOf, writeToStream } from './destination.ts';
import { guardWrite, writeFailed } from './failure.ts';
import { makeFolder, makeWorkFolder, removeQuietly } from './folder.ts';
import { readWholeFile } from './read.ts';

/**
 * Writes a whole file so that a kill at any moment leaves the old one or the new one: the bytes go
 * to a `.part` file beside it, are synced, then renamed into place. A file that was there keeps its
 * mode and, as far as that is allowed, its owner; symbolic links are followed. Pipes and devices are
 * written to; see `destination.ts`.
 *
 * @throws UserError `write-failed`
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  const destination = await guardWrite(path, () => destinationOf(path));
  if (destination.kind === 'file') {
    await replaceFile(path, destination, async (file) => {
      await guardWrite(path, () => file.writeFile(data));
      return true;
    });
  } else {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    await guardWrite(path, () => writeToStream(destination, bytes));
  }
}

/**
 * As `writeFileAtomic`, for a file that is written piece by piece. What goes to a pipe or a device is
 * kept in a file of its own until it is whole.
 *
 * @param write  gets the open `.part` file; on false, or when it throws, `path` stays as it was
 * @throws UserError `write-failed`, and what `write` throws
 */
export async function writeFileParts(
  path: string,
  write: (file: FileHandle) => Promise<boolean>,
): Promise<void> {
  const destination = await guardWrite(path, () => destinationOf(path));
  if (destination.kind === 'file') {
    await replaceFile(path, destination, write);
    return;
  }
  const work = await makeWorkFolder('wayward-');
  try {
    const whole = join(work, 'whole');
    const file = await guardWrite(path, () => open(whole, 'wx+', 0o600));
    try {
      if (!(await write(file))) return;
      for await (const chunk of createReadStream(whole)) {
        await guardWrite(path, () => writeToStream(destination, chunk as Buffer));
      }
    } finally {
      await file.close();
    }
  } finally {
    await removeQuietly(work);
  }
}

/** @returns a name beside `path` for what is to become it; `removeStaleParts` knows it */
export function partOf(path: string): string {
  return `${path}.${host}-${process.pid}-${randomBytes(4).toString('hex')}.part`;
}

/** @param path  as it was given, for messages */
async function replaceFile(
  path: string,
  { path: target, old }: Extract<Destination, { kind: 'file' }>,
  write: (file: FileHandle) => Promise<boolean>,
): Promise<void> {
  // The name is unique, so that two writers never share a part file.
  const part = partOf(target);
  let file: FileHandle | undefined;
  try {
    file = await guardWrite(path, async () => {
      await makeFolder(dirname(target));
      return open(part, 'wx', old === undefined ? 0o666 : old.mode & 0o777);
    });
    const written = file;
    if (await write(written)) {
      await guardWrite(path, async () => {
        if (old !== undefined) await keepOwnerAndMode(written, old);
        await written.sync();
        await written.close();
        file = undefined;
        await rename(part, target);
      });
    }
  } finally {
    // What went wrong first is what the user should hear.
    await file?.close().catch(() => {});
    await rm(part, { force: true }).catch(() => {});
  }
}

async function keepOwnerAndMode(file: FileHandle, old: Stats): Promise<void> {
  const { uid, gid } = await file.stat();
  const isAnothers = uid !== old.uid || gid !== old.gid;
  const isKept =
    !isAnothers ||
    (await file.chown(old.uid, old.gid).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        // Only root may give files away.
        if (error.code !== 'EPERM') throw error;
        return false;
      },
    ));
  // Who runs it as its owner must not become us.
  await file.chmod(old.mode & (isKept ? 0o7777 : 0o777));
}

/** Appends to a file that is being written to become `path`. @throws UserError `write-failed` */
export function appendSync(file: FileHandle, path: string, bytes: Uint8Array): void {
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(file.fd, bytes, done);
  } catch (cause) {
    throw writeFailed(path, cause);
  }
}

const host = hostname()
  .replace(/[^A-Za-z0-9]/g, '_')
  .slice(0, 40);

const oneDay = 24 * 3600 * 1000;

/**
 * Removes what killed writers of `path` left beside it: part files and folders of this machine whose process is
 * gone, and anybody's after a day. Call it before writing, never while `path` is being written.
 */
export async function removeStaleParts(path: string): Promise<void> {
  const folder = dirname(path);
  const start = `${basename(path)}.`;
  for (const name of await readdir(folder).catch((): string[] => [])) {
    const match =
      name.startsWith(start) && /^(\w+)-(\d+)-[0-9a-f]{8}\.part$/.exec(name.slice(start.length));
    if (!match) continue;
    const part = join(folder, name);
    const pid = Number(match[2]);
    const isGone = match[1] === host && (pid === process.pid || !isRunning(pid));
    const age = Date.now() - (await stat(part).then(({ mtimeMs }) => mtimeMs, Date.now));
    if (isGone || age > oneDay) await removeQuietly(part);
  }
}

/** Copies a file whole or not at all. @throws UserError `not-readable`, `write-failed` */
export async function copyWholeFile(from: string, to: string): Promise<void> {
  await writeFileAtomic(to, await readWholeFile(from));
}
