import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { AddressSpace } from '../../image/address-space.ts';
import type { PieceSource } from './parallel-decoder.ts';
import type { DecodedPiece, Piece, PieceDecoders, PieceSetup } from './piece.ts';
import { CodeSharing, type NumberedBytes, type SharedSection } from './shared-code.ts';

export type PieceRequest =
  | {
      readonly kind: 'open';
      readonly sections: readonly SharedSection[];
      /** Of the sections; those that came before may come again. */
      readonly code: readonly NumberedBytes[];
      readonly setup: PieceSetup;
    }
  | { readonly kind: 'piece'; readonly piece: Piece }
  | {
      readonly kind: 'learn';
      readonly ids: Int32Array<ArrayBuffer>;
      readonly entries: Int32Array;
    }
  | { readonly kind: 'renew' | 'close' };

export type PieceReply =
  | { readonly kind: 'ready' }
  /** To the oldest piece without a reply. */
  | { readonly kind: 'piece'; readonly found: DecodedPiece | undefined };

interface Waiting {
  readonly resolve: (found: DecodedPiece | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** One thread. It keeps the process alive only while pieces are under way. */
class PieceWorker {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  isReady = false;
  /** Rejects where the thread ends before it is ready. */
  readonly ready: Promise<void>;

  constructor() {
    // The same file, compiled or not, as this one.
    const entry = new URL(`./piece-thread${extname(import.meta.url)}`, import.meta.url);
    this.#worker = new Worker(entry);
    this.#worker.unref();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    // Without anybody who waits for it, the pieces tell.
    promise.catch(() => {});
    this.#worker.on('message', (reply: PieceReply) => {
      if (reply.kind === 'ready') {
        this.isReady = true;
        resolve();
        return;
      }
      this.#waiting.shift()?.resolve(reply.found);
      if (this.#waiting.length === 0) this.#worker.unref();
    });
    const fail = (error: Error): void => {
      this.isReady = false;
      reject(error);
      for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
    };
    this.#worker.on('error', fail);
    this.#worker.on('exit', (code) => fail(new Error(`a decoding thread ended with code ${code}`)));
  }

  send(request: PieceRequest): void {
    this.#worker.postMessage(request);
  }

  decode(piece: Piece): Promise<DecodedPiece | undefined> {
    this.#worker.ref();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.send({ kind: 'piece', piece });
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

/**
 * Threads that decode pieces of one trace at a time. They are started with the first trace and stay, with the
 * code that they have seen, for the next.
 */
export class PiecePool implements PieceSource {
  readonly #count: number;
  readonly #sharing: CodeSharing = new CodeSharing();
  #workers: PieceWorker[] = [];
  #isOpen = false;

  constructor(threads: number) {
    this.#count = threads;
  }

  /** Starts the threads, which else the first long trace does. */
  async ready(): Promise<void> {
    this.#start();
    await Promise.all(this.#workers.map(({ ready }) => ready));
  }

  #start(): void {
    if (this.#workers.length > 0) return;
    this.#workers = Array.from({ length: this.#count }, () => new PieceWorker());
  }

  get areReady(): boolean {
    return this.#workers.length > 0 && this.#workers.every(({ isReady }) => isReady);
  }

  open(space: AddressSpace, setup: PieceSetup): PieceDecoders | undefined {
    if (this.#isOpen || this.#count < 1) return undefined;
    this.#isOpen = true;
    this.#start();
    const workers = this.#workers;
    const sendAll = (request: PieceRequest): void => {
      for (const worker of workers) worker.send(request);
    };
    sendAll({ kind: 'open', ...this.#sharing.share(space), setup });
    return {
      count: workers.length,
      get areReady() {
        return workers.every(({ isReady }) => isReady);
      },
      decode: (decoder, piece) => workers[decoder].decode(piece),
      learn: (decoder, ids, entries) => workers[decoder].send({ kind: 'learn', ids, entries }),
      renew: () => sendAll({ kind: 'renew' }),
      close: () => {
        sendAll({ kind: 'close' });
        this.#isOpen = false;
      },
    };
  }

  /** Ends the threads. */
  async dispose(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.end()));
  }
}
