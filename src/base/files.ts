import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { createGunzip, gunzip } from 'node:zlib';
import { UserError } from './errors.ts';

const inflate = promisify(gunzip);

/**
 * Writes a whole file so that a kill at any moment leaves the old one or the new one: the bytes go
 * to a `.part` file beside it, are synced, then renamed into place.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  // The name is unique, so that two writers never share a part file.
  const part = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.part`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(part, 'wx');
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (cause) {
    // What went wrong first is what the user should hear.
    await rm(part, { force: true }).catch(() => {});
    throw new UserError('write-failed', `cannot be written: ${messageOf(cause)}`, {
      category: 'runtime',
      path,
      cause,
    });
  }
}

/** @throws UserError `not-readable` */
export async function readWholeFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw notReadable(path, cause);
  }
}

/**
 * Reads a file, inflating it when it starts with the gzip magic, whatever its name.
 *
 * @throws UserError `not-readable`, or `gzip-damaged` for a truncated or corrupt gzip file
 */
export async function readMaybeGzip(path: string): Promise<Uint8Array> {
  const bytes = await readWholeFile(path);
  if (!isGzip(bytes)) return bytes;
  try {
    return await inflate(bytes);
  } catch (cause) {
    throw gzipDamaged(path, cause);
  }
}

/** Streams a file in chunks, inflating it when it starts with the gzip magic. Errors as `readMaybeGzip`. */
export async function* streamMaybeGzip(path: string): AsyncGenerator<Uint8Array> {
  let compressed = false;
  try {
    const file = await open(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
    await file.close();
    compressed = isGzip(buffer.subarray(0, bytesRead));
    const raw = createReadStream(path, { highWaterMark: 1 << 20 });
    if (!compressed) {
      yield* raw;
      return;
    }
    const inflated = createGunzip({ chunkSize: 1 << 20 });
    raw.on('error', (error) => inflated.destroy(error));
    yield* raw.pipe(inflated);
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    throw compressed && code.startsWith('Z_') ? gzipDamaged(path, cause) : notReadable(path, cause);
  }
}

export function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function notReadable(path: string, cause: unknown): UserError {
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
