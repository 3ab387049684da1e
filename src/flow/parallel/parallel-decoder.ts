import type { AddressSpace } from '../../image/address-space.ts';
import { noErrata } from '../../pt/errata.ts';
import type { BlockSink, BlockSource, BlockTable, ReadOptions, TraceSummary } from '../blocks.ts';
import { firstOpen } from '../final-ids.ts';
import type { Mark } from '../mark.ts';
import { TraceDecoder, type TraceDecoderOptions } from '../trace-decoder.ts';
import type { DecodedPiece, Piece, PieceDecoders, PieceSetup } from './piece.ts';
import { PieceCutter } from './piece-cutter.ts';
import { PieceJoiner } from './piece-joiner.ts';

/** What may be chosen for tests. */
export interface ParallelOptions {
  /** Bytes of a piece. */
  readonly pieceBytes?: number;
  /** Traces are decoded by one decoder up to here: starting others takes as long. */
  readonly soloBytes?: number;
}

/** Where decoders for the pieces of a trace come from. */
export interface PieceSource {
  /** They have been started, so that short traces gain by them, too. */
  readonly areReady: boolean;
  /** @returns `undefined` while they are in use */
  open(space: AddressSpace, setup: PieceSetup): PieceDecoders | undefined;
}

/** Pieces that each decoder has at once: the next one lies ready when it ends one. */
const piecesAhead = 2;
/** So many pieces that cannot be joined, and the rest of a trace is left to one decoder. */
const mostFailures = 3;

interface Handed {
  readonly piece: Piece;
  /** Index of the decoder that has it; -1 = none. */
  decoder: number;
  found: Promise<DecodedPiece | undefined> | undefined;
}

/**
 * Decodes a trace with several decoders, each of which is given pieces of it. What comes out is what one
 * `TraceDecoder` finds, which decodes the pieces that cannot be joined.
 */
export class ParallelDecoder implements BlockSource {
  readonly #decoder: TraceDecoder;
  readonly #joiner: PieceJoiner;
  readonly #cutter: PieceCutter;
  readonly #options: TraceDecoderOptions;
  readonly #setup: PieceSetup;
  readonly #source: PieceSource;
  readonly #soloBytes: number;
  readonly #pieceBytes: number;
  #decoders: PieceDecoders | undefined;
  /** Pieces that are cut and not joined, in order. */
  readonly #waiting: Handed[] = [];
  /** Pieces that each decoder has. */
  #load: number[] = [];
  #failures = 0;
  /** Pieces that were joined. */
  joined = 0;

  constructor(options: TraceDecoderOptions, source: PieceSource, choices: ParallelOptions = {}) {
    const { sharesProcessor = false, errata = noErrata, isTimed = false } = options;
    const { maxBlocks = 1 << 19, maxMarks = 1 << 18 } = options;
    this.#options = options;
    this.#setup = { sharesProcessor, errata, isTimed, maxBlocks, maxMarks };
    this.#source = source;
    this.#decoder = new TraceDecoder(options);
    this.#joiner = new PieceJoiner(this.#decoder, this.#setup);
    this.#pieceBytes = choices.pieceBytes ?? 1 << 20;
    this.#soloBytes = choices.soloBytes ?? 1 << 22;
    this.#cutter = new PieceCutter(this.#pieceBytes);
  }

  get blocks(): BlockTable {
    return this.#decoder.blocks;
  }

  get marks(): readonly Mark[] {
    return this.#decoder.marks;
  }

  async run(sink: BlockSink, options: ReadOptions = {}): Promise<TraceSummary> {
    this.#decoder.begin(sink);
    try {
      for await (const chunk of partsOf(this.#options.input, this.#pieceBytes)) {
        for (const piece of this.#cutter.push(chunk)) {
          options.signal?.throwIfAborted();
          await this.#take(piece);
          await options.pace?.();
        }
      }
      const [last, ...others] = this.#cutter.end().reverse();
      for (const piece of others) await this.#take(piece);
      while (this.#waiting.length > 0) {
        options.signal?.throwIfAborted();
        await this.#joinFirst();
        await options.pace?.();
      }
      // Where a trace ends, flow need not stand anywhere.
      if (last !== undefined) this.#decoder.push(last.bytes.subarray(last.head));
    } finally {
      this.#decoders?.close();
    }
    return this.#decoder.end();
  }

  async #take(piece: Piece): Promise<void> {
    if (this.#decoders === undefined && this.#isLong(piece)) {
      this.#decoders = this.#source.open(this.#options.space, this.#setup);
      this.#load = Array.from({ length: this.#decoders?.count ?? 0 }, () => 0);
    }
    this.#waiting.push({ piece, decoder: -1, found: undefined });
    this.#handOut();
    const most = 1 + piecesAhead * this.#load.length;
    while (this.#waiting.length > 0) {
      const isFull = this.#waiting.length >= most;
      if (!isFull && this.#waiting[0]?.found !== undefined) return;
      await this.#joinFirst();
    }
  }

  #isLong({ offset }: Piece): boolean {
    if (this.#failures >= mostFailures || this.#setup.maxBlocks > firstOpen) return false;
    return offset >= this.#soloBytes || (this.#source.areReady && offset > 0);
  }

  /** Gives pieces to decoders that have few. */
  #handOut(): void {
    const decoders = this.#decoders;
    if (decoders === undefined || !decoders.areReady) return;
    for (const handed of this.#waiting) {
      if (handed.found !== undefined || handed.piece.head === 0) continue;
      const least = Math.min(...this.#load);
      if (least >= piecesAhead) return;
      const load = this.#load;
      const decoder = load.indexOf(least);
      load[decoder]++;
      handed.decoder = decoder;
      handed.found = decoders.decode(decoder, handed.piece).finally(() => {
        load[decoder]--;
      });
      // Whoever waits for it hears of a failure.
      handed.found.catch(() => {});
    }
  }

  /** Adds the first of the pieces that wait. */
  async #joinFirst(): Promise<void> {
    const first = this.#waiting.shift();
    if (first === undefined) return;
    const { piece, decoder } = first;
    // Other decoders may become ready, and whoever holds the signal must come to run.
    await nextTurn();
    const found = await first.found;
    const ids = found === undefined ? undefined : this.#joiner.join(piece, found, decoder);
    if (found !== undefined && ids !== undefined) {
      this.joined++;
      this.#decoders?.learn(decoder, ids, found.entries);
    } else {
      if (first.found !== undefined) this.#startAnew();
      this.#decoder.push(piece.bytes.subarray(piece.head));
    }
    this.#handOut();
  }

  /** A piece could not be joined: what its decoder learned from it is not known here. */
  #startAnew(): void {
    for (const handed of this.#waiting) {
      handed.found = undefined;
      handed.decoder = -1;
    }
    this.#joiner.renew();
    this.#load = this.#load.map(() => 0);
    if (++this.#failures < mostFailures) {
      this.#decoders?.renew();
      return;
    }
    this.#decoders?.close();
    this.#decoders = undefined;
    this.#load = [];
  }
}

async function* partsOf(
  input: TraceDecoderOptions['input'],
  size: number,
): AsyncGenerator<Uint8Array> {
  if (!(input instanceof Uint8Array)) yield* input;
  else for (let at = 0; at < input.length; at += size) yield input.subarray(at, at + size);
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
