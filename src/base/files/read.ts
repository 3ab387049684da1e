import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { createGunzip, gunzip } from 'node:zlib';
import { failureOf, messageOf, UserError } from '../errors.ts';
import { notReadable } from './failure.ts';
import { readFully } from './file-bytes.ts';

const inflate = promisify(gunzip);

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
      return isSized ? await readFully(file, 0, found.size) : await readUpTo(file, path, most);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw cause instanceof UserError ? cause : notReadable(path, cause);
  }
}

/**
 * Reads the first bytes of a file, at once: what they say decides what is done with it.
 *
 * @returns `length` bytes; fewer where the file ends
 * @throws UserError `not-readable`
 */
export function readHead(path: string, length: number): Buffer {
  try {
    const file = openSync(path, 'r');
    try {
      const head = Buffer.alloc(length);
      let filled = 0;
      while (filled < length) {
        const got = readSync(file, head, filled, length - filled, null);
        if (got === 0) break;
        filled += got;
      }
      return head.subarray(0, filled);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw notReadable(path, cause);
  }
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
    const isTooLarge = failureOf(cause) === 'ERR_BUFFER_TOO_LARGE';
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
    const code = failureOf(cause) ?? '';
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

function gzipDamaged(path: string, cause: unknown): UserError {
  return new UserError('gzip-damaged', `the gzip data is cut off or damaged: ${messageOf(cause)}`, {
    category: 'input',
    path,
    cause,
  });
}
