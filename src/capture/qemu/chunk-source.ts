import { constants, open as openCallback } from 'node:fs';
import { open } from 'node:fs/promises';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { messageOf, UserError } from '../../base/errors.ts';

const openFile = promisify(openCallback);

/** @param from  what is read, as people know it */
function unreadable(from: string, cause: unknown): UserError {
  return new UserError('recording-unreadable', `cannot be read: ${messageOf(cause)}`, {
    category: 'runtime',
    path: from,
    cause,
  });
}

/** Where the bytes of a recording come from. */
export interface ChunkSource {
  /** @param onChunk  must not keep the chunk; @returns at the end of the bytes, or after `stop` */
  readonly read: (onChunk: (chunk: Buffer) => void) => Promise<void>;
  /** Reads no more, whoever still writes. */
  readonly stop: () => Promise<void>;
}

export function streamSource(stream: Readable): ChunkSource {
  return {
    read: (onChunk) =>
      new Promise((done, fail) => {
        stream.on('data', onChunk);
        stream.on('error', (cause) => fail(unreadable("the emulator's output", cause)));
        stream.on('close', done);
      }),
    stop: async () => void stream.destroy(),
  };
}

/** A named pipe. One buffer serves all reads: a reader that keeps up gets a few lines at a time. */
export class FifoSource implements ChunkSource {
  readonly #path: string;
  #isStopped = false;
  #pipe: Socket | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async read(onChunk: (chunk: Buffer) => void): Promise<void> {
    // Waits for a writer.
    const fd = await openFile(this.#path, 'r');
    const callback = (length: number, buffer: Uint8Array): boolean => {
      if (!this.#isStopped) onChunk((buffer as Buffer).subarray(0, length));
      return true;
    };
    // A socket, because that waits in the event loop; a file would ask a thread for each line.
    const onread = { buffer: Buffer.allocUnsafe(65536), callback };
    const pipe = new Socket({ fd, writable: false, onread });
    this.#pipe = pipe;
    await new Promise<void>((done, fail) => {
      pipe.on('error', (cause) => fail(unreadable(this.#path, cause)));
      pipe.on('close', () => done());
      if (this.#isStopped) pipe.destroy();
    });
  }

  /** Also ends the wait for a writer. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#pipe?.destroy();
    await this.release();
  }

  /** Comes and goes as a writer, so that a reader who waits for the first one sees the end. */
  async release(): Promise<void> {
    const flags = constants.O_WRONLY | constants.O_NONBLOCK;
    const file = await open(this.#path, flags).catch(() => undefined);
    await file?.close();
  }
}
