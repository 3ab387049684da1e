import { parentPort } from 'node:worker_threads';
import { CodeCache } from '../code-cache.ts';
import type { Piece, PieceSetup } from './piece.ts';
import { PieceDecoder } from './piece-decoder.ts';
import type { PieceReply, PieceRequest } from './piece-pool.ts';
import { CodeNotShared, SharedSpace } from './shared-code.ts';

/** A thread of `PiecePool`: decodes pieces of one trace after the other. */
class PieceThread {
  readonly #code: Map<number, Uint8Array> = new Map();
  readonly #codeCache: CodeCache = new CodeCache();
  readonly #free: Int32Array[] = [];
  #open: { readonly space: SharedSpace; readonly setup: PieceSetup } | undefined;
  #decoder: PieceDecoder | undefined;

  take(request: PieceRequest): void {
    switch (request.kind) {
      case 'open': {
        for (const { number, bytes } of request.code) {
          if (!this.#code.has(number)) this.#code.set(number, bytes);
        }
        const bytesOf = (number: number): Uint8Array => this.#code.get(number) ?? new Uint8Array(0);
        this.#open = { space: new SharedSpace(request.sections, bytesOf), setup: request.setup };
        this.#decoder = undefined;
        return;
      }
      case 'renew':
        this.#decoder = undefined;
        return;
      case 'close':
        this.#decoder = undefined;
        this.#open = undefined;
        return;
      case 'learn':
        this.#free.push(request.entries);
        this.#decoder?.learn(request.ids);
        return;
      case 'piece':
        this.#decode(request.piece);
    }
  }

  #decode(piece: Piece): void {
    if (this.#open === undefined) {
      reply({ kind: 'piece', found: undefined });
      return;
    }
    const { space, setup } = this.#open;
    this.#decoder ??= new PieceDecoder(space, this.#codeCache, setup, this.#free);
    try {
      reply({ kind: 'piece', found: this.#decoder.decode(piece) });
    } catch (error) {
      if (!(error instanceof CodeNotShared)) throw error;
      reply({ kind: 'piece', found: undefined });
    }
  }
}

function reply(message: PieceReply): void {
  parentPort?.postMessage(message);
}

const thread = new PieceThread();
parentPort?.on('message', (request: PieceRequest) => thread.take(request));
reply({ kind: 'ready' });
