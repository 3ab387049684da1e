import {
  Ext,
  findPsb,
  IpPacket,
  ipBytes,
  Opcode,
  packetLength,
  psbBytes,
} from '../../pt/packet.ts';
import type { Piece } from './piece.ts';

/** Pieces are parts of slabs that are so many times as long. One without a PSB to cut at is a piece as a whole. */
const slabSizes = 8;

/** Cuts a trace at PSBs whose PSB+ says where execution stands. */
export class PieceCutter {
  readonly #size: number;
  /** Bytes of the trace; pieces that were cut are parts of it. */
  #slab: Uint8Array;
  /** Where the next piece begins in it, and how far it is filled. */
  #from = 0;
  #filled = 0;
  #offset = 0;
  #head = 0;
  /** Bytes of the piece in which no PSB to cut at lies. */
  #searched: number;

  /** @param size  bytes of a piece, or a little more */
  constructor(size: number) {
    this.#size = size;
    this.#searched = this.#least;
    this.#slab = shared(size * slabSizes);
  }

  /** Takes the next bytes of the trace. @returns the pieces that are whole, in order */
  push(chunk: Uint8Array): Piece[] {
    const pieces: Piece[] = [];
    for (let from = 0; from < chunk.length; ) {
      if (this.#filled === this.#slab.length) this.#makeRoom(pieces);
      const part = chunk.subarray(from, from + this.#slab.length - this.#filled);
      this.#slab.set(part, this.#filled);
      this.#filled += part.length;
      from += part.length;
      for (let piece = this.#cut(); piece !== undefined; piece = this.#cut()) pieces.push(piece);
    }
    return pieces;
  }

  /**
   * No more bytes come.
   *
   * @returns the last pieces; the very last is short, and may be empty
   */
  end(): Piece[] {
    const length = this.#filled - this.#from;
    this.#searched = Math.max(this.#head + 1, length - (this.#size >> 4));
    const piece = this.#cut();
    const last = this.#piece(this.#filled);
    return piece === undefined ? [last] : [piece, last];
  }

  #cut(): Piece | undefined {
    for (;;) {
      const at = findPsb(this.#slab, this.#from + this.#searched, this.#filled);
      if (at < 0) {
        const tail = this.#filled - this.#from - psbBytes + 1;
        this.#searched = Math.max(this.#searched, tail);
        return undefined;
      }
      this.#searched = at - this.#from;
      const head = statusBytes(this.#slab, at, this.#filled);
      if (head === 0) return undefined;
      if (head < 0) {
        this.#searched += psbBytes;
        continue;
      }
      const piece = this.#piece(at + head);
      this.#goOn(at, head);
      return piece;
    }
  }

  #piece(end: number): Piece {
    const bytes = this.#slab.subarray(this.#from, end);
    return { offset: this.#offset, bytes, head: this.#head };
  }

  /** The next piece begins at `at`. */
  #goOn(at: number, head: number): void {
    this.#offset += at - this.#from;
    this.#from = at;
    this.#head = head;
    this.#searched = this.#least;
  }

  /**
   * Bytes of the next piece, at least. The first ones are short: nobody else can decode the first one, and while
   * much code is new, decoders should soon hear of what others found.
   */
  get #least(): number {
    return Math.max(this.#size >> 4, Math.min(this.#size, this.#offset >> 3));
  }

  /** The slab is full: what is left goes on in a new one. */
  #makeRoom(pieces: Piece[]): void {
    if (this.#from === 0) {
      pieces.push(this.#piece(this.#filled));
      this.#goOn(this.#filled, 0);
    }
    const rest = this.#slab.subarray(this.#from, this.#filled);
    this.#slab = shared(this.#size * slabSizes);
    this.#slab.set(rest);
    this.#from = 0;
    this.#filled = rest.length;
  }
}

function shared(length: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(length));
}

/**
 * @returns bytes of the PSB+ at `at`, PSBEND included; 0 where it is cut off; -1 where it does not say where
 *   execution stands, or holds what it must not
 */
function statusBytes(bytes: Uint8Array, at: number, end: number): number {
  let hasIp = false;
  for (let offset = at + psbBytes; ; ) {
    const length = packetLength(bytes, offset, end);
    if (length === 0) return 0;
    const byte = bytes[offset];
    if (length < 0) return -1;
    if (byte === Opcode.ext) {
      const second = bytes[offset + 1];
      if (second === Ext.psbend) return hasIp ? offset + length - at : -1;
      if (!statusPackets.includes(second)) return -1;
    } else if ((byte & 0x1f) === IpPacket.fup && (byte & 3) !== 3) {
      hasIp = ipBytes[byte >> 5] > 0;
    } else if ((byte & 1) === 0 && byte !== Opcode.pad) {
      return -1;
    } else if (flowPackets.includes(byte & 0x1f) && (byte & 3) !== 3) {
      return -1;
    }
    offset += length;
  }
}
const statusPackets: readonly number[] = [Ext.tma, Ext.cbr, Ext.pip, Ext.vmcs];
const flowPackets: readonly number[] = [IpPacket.tip, IpPacket.tipPge, IpPacket.tipPgd];
