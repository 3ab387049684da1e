import { constants, type Stats, write } from 'node:fs';
import { access, lstat, open, readlink } from 'node:fs/promises';
import { dirname, isAbsolute } from 'node:path';
import { promisify } from 'node:util';
import { failureOf, isAbsent } from '../errors.ts';

/** What lies at a path that is about to be written. */
export type Destination =
  /** A regular file, or nothing yet: replaced whole. `old` is what is there now. */
  | { readonly kind: 'file'; readonly path: string; readonly old: Stats | undefined }
  /** A pipe or a character device: written to, since there is nothing to replace. */
  | { readonly kind: 'stream'; readonly path: string }
  /** An open file of this process, as /dev/stdout is. */
  | { readonly kind: 'descriptor'; readonly fd: number };

/** As many as Linux follows; see path_resolution(7). */
const mostLinks = 40;

/**
 * Follows symbolic links to what an output's name stands for. A link to what is not there stands for
 * the file that it names.
 *
 * @throws Error for what is not written to: folders, sockets, block devices, files without the
 *   permission to write
 */
export async function destinationOf(path: string): Promise<Destination> {
  let at = path;
  for (let links = 0; links <= mostLinks; links++) {
    // The file behind it may be shared with others that write at its end, so it is not replaced.
    const fd = ownDescriptor.exec(at)?.[1];
    if (fd !== undefined) return { kind: 'descriptor', fd: Number(fd) };
    let found: Stats;
    try {
      found = await lstat(at);
    } catch (error) {
      if (!isAbsent(error)) throw error;
      return { kind: 'file', path: at, old: undefined };
    }
    if (found.isSymbolicLink()) {
      const target = await readlink(at);
      // Not made shorter: `..` after a link is for the system to resolve.
      at = isAbsolute(target) ? target : `${dirname(at)}/${target}`;
    } else if (found.isFIFO() || found.isCharacterDevice()) {
      return { kind: 'stream', path: at };
    } else if (found.isFile()) {
      await access(at, constants.W_OK);
      return { kind: 'file', path: at, old: found };
    } else {
      const what = found.isDirectory() ? 'folder' : found.isSocket() ? 'socket' : 'block device';
      throw new Error(`it is a ${what}`);
    }
  }
  throw new Error('too many symbolic links lead to each other');
}

const ownDescriptor = new RegExp(`^/(?:dev|proc/(?:self|${process.pid}))/fd/(\\d+)$`);

const writeOnce = promisify(write);

/** Writes all bytes to a pipe, a device or an open file, where they follow what was written before. */
export async function writeToStream(
  destination: Exclude<Destination, { kind: 'file' }>,
  bytes: Uint8Array,
): Promise<void> {
  if (destination.kind === 'descriptor') return writeAll(destination.fd, bytes);
  const file = await open(destination.path, constants.O_WRONLY);
  try {
    await writeAll(file.fd, bytes);
  } finally {
    await file.close();
  }
}

async function writeAll(fd: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    try {
      done += (await writeOnce(fd, bytes, done, bytes.length - done, null)).bytesWritten;
    } catch (error) {
      // A pipe that does not block is full until its reader has read.
      if (failureOf(error) !== 'EAGAIN') throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
