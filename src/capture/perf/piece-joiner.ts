import type { Address } from '../../base/address.ts';
import { tscPacket } from '../../pt/encoder.ts';
import { Ext, IpPacket, Opcode, psbBytes } from '../../pt/packet.ts';
import type { Piece } from './pieces.ts';

/** Joins the pieces of one thread, so that they decode as one trace: says what stands before and behind each. */
export class PieceJoiner {
  #isFirst = true;
  #isLost = false;

  /** @returns packets before what the buffer holds of the piece */
  begin({ entry, time, mode, isSynchronized, lostBefore }: Piece<unknown>): Uint8Array {
    const head: number[] = [];
    if (lostBefore && !this.#isLost && !this.#isFirst) head.push(Opcode.ext, Ext.ovf);
    if (entry !== undefined) {
      if (isSynchronized || this.#isFirst)
        for (let i = 0; i < psbBytes; i += 2) head.push(0x02, Ext.psb);
      if (time >= 0) head.push(...tscPacket(time));
      if (mode >= 0) head.push(Opcode.mode, mode);
      if (isSynchronized || this.#isFirst) head.push(Opcode.ext, Ext.psbend);
      head.push(...enablePacket(entry));
    }
    this.#isFirst = false;
    this.#isLost = false;
    return Uint8Array.from(head);
  }

  /** @returns packets behind it */
  end({ entersKernel, lostAfter }: Piece<unknown>): Uint8Array {
    const tail: number[] = [];
    if (entersKernel) tail.push(IpPacket.tipPgd);
    if (lostAfter) tail.push(Opcode.ext, Ext.ovf);
    this.#isLost = lostAfter;
    return Uint8Array.from(tail);
  }
}

/** TIP.PGE with the whole address. */
function enablePacket(ip: Address): number[] {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(ip));
  return [(3 << 5) | IpPacket.tipPge, ...bytes.subarray(0, 6)];
}
