import type { Address } from '../../base/address.ts';
import { type MtcRate, PtClock } from '../../pt/clock.ts';
import { LastIp } from '../../pt/last-ip.ts';
import {
  Ext,
  findPsb,
  IpPacket,
  isItem,
  itemBytesAfter,
  Opcode,
  packetLength,
  psbBytes,
} from '../../pt/packet.ts';

/** A stretch of one buffer's trace that belongs to one thread. */
export interface Piece<Owner> {
  readonly owner: Owner;
  /** Ticks of the time stamp counter when it began; -1 = not known. */
  readonly time: number;
  /** Positions in the buffer's trace. */
  readonly from: number;
  to: number;
  /**
   * Where flow enters: the packet that says so is left out before `from`, because what it
   * abbreviates lies in another piece. `undefined` = the piece begins with a PSB of its own.
   */
  readonly entry: Address | undefined;
  /** Payload of the last MODE.Exec packet; -1 = none yet. */
  readonly mode: number;
  /** A PSB came since the thread before left: calls before it are forgotten. */
  readonly isSynchronized: boolean;
  /** Packets were lost before, or after it. */
  readonly lostBefore: boolean;
  lostAfter: boolean;
  /** It ends where the kernel was entered and traced, too: TIP.PGD takes the place of that TIP. */
  entersKernel: boolean;
}

/** Tells whose trace it is. Times and positions never go back. */
export interface Turns<Owner> {
  /**
   * Goes on to a place in the trace.
   *
   * @param time  ticks, -1 = not known
   * @param position  in the buffer's trace
   * @returns whether there was a switch since the last call, maybe back to the same owner
   */
  advance(time: number, position: number): boolean;
  readonly owner: Owner;
}

const State = { off: 0, user: 1, lost: 2 } as const;

/**
 * Cuts the trace of one buffer into pieces, each of one thread.
 *
 * The kernel switches threads while no user code is traced, so a cut always lies where user code
 * is entered: at the first such place that is not earlier than the switch.
 */
export class PieceCutter<Owner> {
  readonly pieces: Piece<Owner>[] = [];
  /** Bytes before the first PSB, and after damage up to the next one. */
  bytesSkipped = 0;
  readonly #turns: Turns<Owner>;
  readonly #clock: PtClock;
  /** Bytes of a BIP packet between BBP and BEP; 0 elsewhere. */
  #itemBytes = 0;
  readonly #ip: LastIp = new LastIp();
  #state: number = State.lost;
  #isSynchronized = false;
  #inPsb = false;
  /** Where the PSB of the current PSB+ lies. */
  #psbAt = 0;
  #sawPsb = false;
  #afterOverflow = false;
  #mode = -1;
  #open: Piece<Owner> | undefined;
  /** End of the last packet of user code. */
  #leftAt = 0;
  /** Packets were lost since the last piece. */
  #isLost = false;
  #rest: Uint8Array = new Uint8Array(0);
  #position = 0;

  constructor(turns: Turns<Owner>, rate: MtcRate | undefined) {
    this.#turns = turns;
    this.#clock = new PtClock(rate);
  }

  /** Position before which no byte is asked for any more, once what is settled was taken. */
  get neededFrom(): number {
    if (this.#open !== undefined) return this.settledTo;
    return this.#inPsb ? this.#psbAt : this.#position;
  }

  /** The piece that goes on; what is in it up to `settledTo` stays so, whatever comes. */
  get open(): Piece<Owner> | undefined {
    return this.#open;
  }

  get settledTo(): number {
    return this.#state === State.user ? this.#position : this.#leftAt;
  }

  add(chunk: Uint8Array): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const used = this.#consume(bytes);
    this.#position += used;
    this.#rest = bytes.slice(used);
  }

  /** Trace was lost here. What is left of an unfinished packet belongs to no piece. */
  lose(): void {
    this.#position += this.#rest.length;
    const cut = this.#position - this.#rest.length;
    this.bytesSkipped += this.#rest.length;
    this.#rest = new Uint8Array(0);
    this.#loseFlow(cut, true);
    this.#close();
    this.#isSynchronized = false;
  }

  finish(): void {
    const end = this.#position + this.#rest.length;
    if (this.#state === State.user) this.#leftAt = end;
    if (!this.#isSynchronized) this.bytesSkipped += this.#rest.length;
    this.#close();
  }

  #consume(bytes: Uint8Array): number {
    const end = bytes.length;
    let offset = 0;
    while (offset < end) {
      if (!this.#isSynchronized) {
        const found = findPsb(bytes, offset);
        const stop = found < 0 ? Math.max(offset, end - psbBytes + 1) : found;
        this.bytesSkipped += stop - offset;
        if (found < 0) return stop;
        offset = found;
        this.#isSynchronized = true;
      }
      const byte = bytes[offset];
      if (this.#itemBytes > 0) {
        if (isItem(byte)) {
          if (offset + this.#itemBytes > end) return offset;
          offset += this.#itemBytes;
          continue;
        }
        if (packetLength(bytes, offset, end) > 0) {
          this.#itemBytes = itemBytesAfter(bytes, offset, this.#itemBytes);
        }
      }
      // Outcomes of branches and padding: most of every trace.
      if ((byte & 1) === 0 && byte !== Opcode.ext) {
        offset++;
        continue;
      }
      const length = packetLength(bytes, offset, end);
      if (length === 0) return offset;
      if (length < 0) {
        this.#loseFlow(this.#position + offset, false);
        this.#isSynchronized = false;
        this.#itemBytes = 0;
        offset++;
        this.bytesSkipped++;
        continue;
      }
      this.#packet(bytes, offset, this.#position + offset, length);
      offset += length;
    }
    return offset;
  }

  #packet(bytes: Uint8Array, offset: number, position: number, length: number): void {
    const byte = bytes[offset];
    switch (byte & 0x1f) {
      case IpPacket.tip:
      case IpPacket.tipPge:
      case IpPacket.tipPgd:
      case IpPacket.fup:
        if ((byte & 3) !== 3) {
          const hasIp = this.#ip.update(bytes, offset) > 1;
          const ip = hasIp ? this.#ip.address : undefined;
          this.#ipPacket(byte & 0x1f, ip, position, length);
          return;
        }
    }
    if (byte === Opcode.mode) {
      if (bytes[offset + 1] >> 5 === 0) this.#mode = bytes[offset + 1];
    } else if (byte === Opcode.ext) {
      switch (bytes[offset + 1]) {
        case Ext.psb:
          this.#ip.reset();
          this.#inPsb = true;
          this.#psbAt = position;
          this.#sawPsb = true;
          return;
        case Ext.psbend:
          this.#inPsb = false;
          return;
        case Ext.ovf:
          this.#inPsb = false;
          this.#loseFlow(position, true);
          this.#afterOverflow = true;
          return;
        case Ext.bbp:
          this.#itemBytes = itemBytesAfter(bytes, offset, 0);
          return;
        case Ext.tma:
          this.#clock.packet(bytes, offset);
      }
      // Cycles would make the time run ahead of a switch now and then.
    } else if ((byte & 3) !== 3) this.#clock.packet(bytes, offset);
  }

  #ipPacket(kind: number, ip: Address | undefined, position: number, length: number): void {
    switch (kind) {
      case IpPacket.fup:
        if (ip === undefined || this.#state === State.user) return;
        if (this.#inPsb) this.#enter(this.#psbAt, undefined, ip);
        else if (this.#afterOverflow) this.#enter(position + length, ip, ip);
        return;
      case IpPacket.tipPgd:
        this.#leave(position + length);
        return;
      default:
        if (ip === undefined) return;
        if (ip < 0) this.#enterKernel(position);
        else if (this.#state !== State.user) this.#enter(position + length, ip, ip);
    }
  }

  #leave(position: number): void {
    if (this.#state !== State.user) return;
    this.#state = State.off;
    this.#leftAt = position;
    this.#sawPsb = false;
  }

  /** Kernel code is no part of a piece. */
  #enterKernel(position: number): void {
    if (this.#state !== State.user) return;
    this.#leave(position);
    if (this.#open === undefined) return;
    this.#open.entersKernel = true;
    this.#close();
  }

  /** User code is entered. @param from  where the piece's own packets begin if this begins one */
  #enter(from: number, entry: Address | undefined, ip: Address): void {
    if (ip < 0) return;
    this.#afterOverflow = false;
    const { time } = this.#clock;
    const isSwitched = this.#turns.advance(time, from);
    this.#state = State.user;
    if (this.#open !== undefined && !isSwitched) {
      // The packet that says so is inside of the piece.
      this.#isLost = false;
      return;
    }
    this.#close();
    this.#open = {
      owner: this.#turns.owner,
      time,
      from,
      to: from,
      entry,
      mode: this.#mode,
      isSynchronized: this.#sawPsb,
      lostBefore: this.#isLost,
      lostAfter: false,
      entersKernel: false,
    };
    this.#isLost = false;
    this.pieces.push(this.#open);
  }

  /** @param isGap  whether the decoder will not see by itself that flow is lost */
  #loseFlow(position: number, isGap: boolean): void {
    if (this.#state === State.user) this.#leftAt = position;
    this.#state = State.lost;
    this.#sawPsb = false;
    this.#isLost ||= isGap;
  }

  #close(): void {
    if (this.#open === undefined) return;
    this.#open.to = this.#leftAt;
    this.#open.lostAfter = this.#isLost && !this.#open.entersKernel;
    this.#open = undefined;
  }
}
