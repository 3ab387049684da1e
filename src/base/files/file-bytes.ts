import { type FileHandle, open } from 'node:fs/promises';
import { notReadable } from './failure.ts';

/** Bytes that are too many to hold at once: a file's, or others. */
export interface Bytes {
  readonly length: number;
  /** @returns `length` bytes from `start` on; fewer where they end */
  read(start: number, length: number): Promise<Uint8Array>;
}

/**
 * Reads from a place of a file. `readFile` takes a read that gives less than was asked for, as shared disks may, for
 * the end of the file.
 *
 * @returns `length` bytes from `start` on; fewer where the file ends
 */
export async function readFully(file: FileHandle, start: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(Math.max(0, length));
  let filled = 0;
  while (filled < bytes.length) {
    const left = bytes.length - filled;
    const { bytesRead } = await file.read(bytes, filled, left, start + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

/** A file that is read in places. */
export class FileBytes implements Bytes {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly length: number;

  private constructor(path: string, file: FileHandle, length: number) {
    this.#path = path;
    this.#file = file;
    this.length = length;
  }

  /** @throws UserError `not-readable` */
  static async open(path: string): Promise<FileBytes> {
    try {
      const file = await open(path);
      try {
        return new FileBytes(path, file, (await file.stat()).size);
      } catch (cause) {
        await file.close();
        throw cause;
      }
    } catch (cause) {
      throw notReadable(path, cause);
    }
  }

  /** @throws UserError `not-readable` */
  async read(start: number, length: number): Promise<Buffer> {
    try {
      return await readFully(this.#file, start, Math.min(length, this.length - start));
    } catch (cause) {
      throw notReadable(this.#path, cause);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
