import { randomBytes } from 'node:crypto';
import { createReadStream, type Stats, writeSync } from 'node:fs';
import {
  type FileHandle,
  mkdir,
  mkdtemp,
  open,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { createGunzip, gunzip } from 'node:zlib';
import { type Destination, destinationOf, writeToStream } from './destination.ts';
import { UserError } from './errors.ts';
import { isRunning } from './running.ts';

const inflate = promisify(gunzip);

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
      const isAboveMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT' && above !== path;
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
export async function writeWorkFile(path: string, bytes: Uint8Array): Promise<void> {
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

async function guardWrite<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw cause instanceof UserError ? cause : writeFailed(path, cause);
  }
}

function writeFailed(path: string, cause: unknown): UserError {
  return new UserError('write-failed', `cannot be written: ${messageOf(cause)}`, {
    category: 'runtime',
    path,
    cause,
  });
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

/** More than any file that is read whole: the largest are models and images of programs. */
const mostWhole = 2 ** 31 - 1;

/**
 * Reads a file whole. Of what tells no size, such as a pipe or `/dev/zero`, no more than that is taken.
 *
 * @param most  in bytes
 * @throws UserError `not-readable`, `too-large`
 */
export async function readWholeFile(path: string, most: number = mostWhole): Promise<Buffer> {
  try {
    const file = await open(path);
    try {
      const found = await file.stat();
      if (found.size > most) throw tooLarge(path, most);
      const isSized = found.isFile() && found.size > 0;
      return isSized ? await readSized(file, found.size) : await readUpTo(file, path, most);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw cause instanceof UserError ? cause : notReadable(path, cause);
  }
}

/** `readFile` takes a read that gives less than was asked for, as shared disks may, for the end of the file. */
async function readSized(file: FileHandle, size: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await file.read(bytes, length, size - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

async function readUpTo(file: FileHandle, path: string, most: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for (;;) {
    const piece = Buffer.allocUnsafe(1 << 16);
    const { bytesRead } = await file.read(piece, 0, piece.length, null);
    if (bytesRead === 0) return Buffer.concat(pieces);
    length += bytesRead;
    if (length > most) throw tooLarge(path, most);
    pieces.push(piece.subarray(0, bytesRead));
  }
}

/** @returns whether reading failed because there is no such file */
export function isAbsent(error: unknown): boolean {
  return failureOf(error) === 'ENOENT';
}

/** @returns the system's word for why reading or writing failed, as `EISDIR`; `undefined` where it was something else */
export function failureOf(error: unknown): string | undefined {
  const cause = error instanceof UserError ? error.cause : error;
  return (cause as NodeJS.ErrnoException | undefined)?.code;
}

/** @returns names of what lies in a folder; @throws UserError `not-readable` */
export async function listFolder(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (cause) {
    throw notReadable(path, cause);
  }
}

/** Texts that are read whole are smaller; a few kilobytes of gzip could claim a thousand times as many. */
export const mostTextBytes: number = 1 << 28;

/**
 * Reads a file, inflating it when it starts with the gzip magic, whatever its name.
 *
 * @throws UserError `not-readable`, `gzip-damaged` for a truncated or corrupt gzip file, `too-large`
 *   for one of more than 256 MB
 */
export async function readMaybeGzip(path: string): Promise<Uint8Array> {
  const bytes = await readWholeFile(path, mostTextBytes);
  if (!isGzip(bytes)) return bytes;
  try {
    return await inflate(bytes, { maxOutputLength: mostTextBytes });
  } catch (cause) {
    const isTooLarge = (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    throw isTooLarge ? tooLarge(path, mostTextBytes) : gzipDamaged(path, cause);
  }
}

function tooLarge(path: string, most: number): UserError {
  const cause = `holds more than ${Math.ceil(most / 2 ** 20)} MB`;
  return new UserError('too-large', cause, { category: 'input', path });
}

/** Streams a file in chunks, inflating it when it starts with the gzip magic. Errors as `readMaybeGzip`. */
export async function* streamMaybeGzip(path: string): AsyncGenerator<Uint8Array> {
  let isCompressed = false;
  // A pipe gives no more than its own buffer at a time, and larger ones would be made in vain.
  const room = await stat(path).then(
    // One byte more than there is shows the end at once; files of the kernel say that they are empty.
    (found) => (found.isFile() ? Math.min(1 << 20, Math.max(1 << 12, found.size + 1)) : 1 << 16),
    () => 1 << 16,
  );
  // Opened once, so that a pipe will do.
  const raw = createReadStream(path, { highWaterMark: room });
  try {
    const chunks = raw[Symbol.asyncIterator]() as AsyncIterableIterator<Buffer>;
    const first = await chunks.next();
    if (first.done === true) return;
    let head = first.value;
    // A pipe may give a single byte at first.
    while (head.length < 2) {
      const next = await chunks.next();
      if (next.done === true) break;
      head = Buffer.concat([head, next.value]);
    }
    isCompressed = isGzip(head);
    if (!isCompressed) {
      yield head;
      yield* chunks;
      return;
    }
    const whole = async function* (): AsyncGenerator<Buffer> {
      yield head;
      yield* chunks;
    };
    const inflated = createGunzip({ chunkSize: Math.max(1 << 16, room) });
    const source = Readable.from(whole(), { objectMode: false });
    source.on('error', (error) => inflated.destroy(error));
    yield* source.pipe(inflated);
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    throw isCompressed && code.startsWith('Z_')
      ? gzipDamaged(path, cause)
      : notReadable(path, cause);
  } finally {
    raw.destroy();
  }
}

export function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Says in plain words why a file cannot be read. */
export function notReadable(path: string, cause: unknown): UserError {
  const plain: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    EISDIR: 'it is a folder',
    EACCES: 'permission denied',
  };
  const why = plain[(cause as NodeJS.ErrnoException).code ?? ''] ?? messageOf(cause);
  return new UserError('not-readable', `cannot be read: ${why}`, {
    category: 'input',
    path,
    cause,
  });
}

function gzipDamaged(path: string, cause: unknown): UserError {
  return new UserError('gzip-damaged', `the gzip data is cut off or damaged: ${messageOf(cause)}`, {
    category: 'input',
    path,
    cause,
  });
}
