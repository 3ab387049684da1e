import { type Address, low32 } from '../base/address.ts';
import { Ext, IpPacket, Opcode, psbBytes } from './packet.ts';

/** Bytes of trace after which the encoder asks for a PSB. */
export const psbDistance = 4096;
/** Return addresses that are kept: a power of two. */
export const ringSize = 64;

/** Where an encoder stands between two packets, so that another one can go on. */
export interface PtEncoderState {
  /** Outcomes that no packet holds yet, the oldest highest. */
  readonly bits: number;
  readonly bitCount: number;
  /** Last IP, bits 16..31 and 32..47. */
  readonly last1: number;
  readonly last2: number;
  /** Bytes until a PSB is due. */
  readonly psbLeft: number;
  /** Return addresses, a ring of `ringSize`; where the next one goes, and how many there are. */
  readonly ring: Float64Array;
  readonly top: number;
  readonly depth: number;
}

/**
 * Writes Intel PT packets as a processor does that traces user space only: TNT, TIP with IP
 * compression, return compression, PSB+ every 4 KB.
 *
 * @see Intel SDM vol. 3, "Intel Processor Trace", packet definitions
 */
export class PtEncoder {
  readonly #sink: (bytes: Uint8Array) => void;
  readonly #compressReturns: boolean;
  readonly #mode: number;
  readonly #time: (() => number) | undefined;
  #bytes: Uint8Array = new Uint8Array(1 << 16);
  #length = 0;
  /** Length from which on a PSB is due. */
  #psbAt = 0;
  /** Bytes that the sink has. */
  #given = 0;
  #bits = 0;
  #bitCount = 0;
  /** Last IP, bits 16..31 and 32..47. */
  #last1 = 0;
  #last2 = 0;
  /** Return addresses, a ring: the oldest is overwritten. */
  readonly #ring: Float64Array = new Float64Array(ringSize);
  #top = 0;
  #depth = 0;

  /**
   * @param sink  gets packets in order; the bytes are a copy that it may keep
   * @param options.time  the time stamp counter, for a TSC packet in each PSB+
   */
  constructor(
    sink: (bytes: Uint8Array) => void,
    options: {
      readonly bitness: 32 | 64;
      readonly compressReturns: boolean;
      readonly time?: () => number;
    },
  ) {
    this.#sink = sink;
    this.#time = options.time;
    this.#mode = options.bitness === 64 ? 1 : 2;
    this.#compressReturns = options.compressReturns;
  }

  /** Goes on where another encoder stood. Nothing was encoded here before. */
  goOn(state: PtEncoderState): void {
    this.#bits = state.bits;
    this.#bitCount = state.bitCount;
    this.#last1 = state.last1;
    this.#last2 = state.last2;
    this.#psbAt = state.psbLeft;
    this.#ring.set(state.ring);
    this.#top = state.top;
    this.#depth = state.depth;
  }

  /** Bytes given to the sink or about to be. */
  get total(): number {
    return this.#given + this.#length;
  }

  /** Tracing starts, or comes back from the kernel, at `ip`: TIP.PGE. */
  enable(ip: Address): void {
    this.#flushBits();
    if (this.#length >= this.#psbAt) {
      this.#psb();
      this.#byte2(0x02, Ext.psbend);
      this.#byte2(0x99, this.#mode);
    }
    this.#ip(IpPacket.tipPge, ip);
  }

  /**
   * Tracing ends, or the kernel is entered, at the next branch: TIP.PGD.
   *
   * @param at  where the next direct branch leads, or execution came without one; to no traced code where
   *   it is left out
   */
  disable(at?: Address): void {
    this.#flushBits();
    if (at === undefined) this.#byte(IpPacket.tipPgd);
    else this.#ip(IpPacket.tipPgd, at);
  }

  /** Flow left for the kernel before the instruction at `ip`: FUP, TIP.PGD. */
  interrupt(ip: Address): void {
    this.#flushBits();
    this.#ip(IpPacket.fup, ip);
    this.#byte(IpPacket.tipPgd);
  }

  /** A conditional branch. */
  branch(taken: boolean): void {
    this.#bits = (this.#bits << 1) | (taken ? 1 : 0);
    if (++this.#bitCount === 6) this.#flushBits();
  }

  /** A call that will return to `next`; not for `call next`. */
  call(next: Address): void {
    this.#ring[this.#top] = next;
    this.#top = (this.#top + 1) & (ringSize - 1);
    if (this.#depth < ringSize) this.#depth++;
  }

  return(to: Address): void {
    if (this.#compressReturns && this.#depth > 0) {
      const top = (this.#top - 1) & (ringSize - 1);
      if (this.#ring[top] === to) {
        this.#top = top;
        this.#depth--;
        this.branch(true);
        return;
      }
      // Decoders differ in whether a return that is not compressed takes its call off: none is
      // misled when no older call is used again.
      this.#depth = 0;
    }
    this.indirect(to);
  }

  /** An indirect call or jump, or a return that is not compressed: TIP. */
  indirect(to: Address): void {
    this.#flushBits();
    this.#ip(IpPacket.tip, to);
  }

  /** Call between blocks: writes PSB+ when one is due. @param ip  the next block */
  synchronize(ip: Address): void {
    if (this.#length < this.#psbAt) return;
    this.#flushBits();
    this.#psb();
    this.#byte2(0x99, this.#mode);
    this.#ip(IpPacket.fup, ip);
    this.#byte2(0x02, Ext.psbend);
  }

  /** Packets were lost: OVF. Flow goes on with `resume` or `enable`. */
  overflow(): void {
    this.#bits = 0;
    this.#bitCount = 0;
    this.#byte2(0x02, Ext.ovf);
    this.#last1 = 0;
    this.#last2 = 0;
    this.#depth = 0;
  }

  /** After `overflow`, packets come again before the instruction at `ip`: FUP. */
  resume(ip: Address): void {
    this.#ip(IpPacket.fup, ip);
  }

  /** Tracing itself was turned off and on: the next packets are a PSB+. */
  restart(): void {
    this.#flushBits();
    this.#psbAt = 0;
  }

  /** Any other packet, as it is. */
  packet(bytes: Iterable<number>): void {
    this.#flushBits();
    for (const byte of bytes) this.#byte(byte);
  }

  /** Gives what is left to the sink. */
  finish(): void {
    this.#flushBits();
    this.drain();
  }

  #psb(): void {
    for (let i = 0; i < psbBytes / 2; i++) this.#byte2(0x02, Ext.psb);
    this.#last1 = 0;
    this.#last2 = 0;
    // The processor forgets calls at a PSB, so that a decoder can start there.
    this.#depth = 0;
    this.#psbAt = this.#length + psbDistance;
    if (this.#time !== undefined) this.packet(tscPacket(this.#time()));
  }

  #flushBits(): void {
    if (this.#bitCount === 0) return;
    this.#byte(((1 << this.#bitCount) | this.#bits) << 1);
    this.#bits = 0;
    this.#bitCount = 0;
  }

  #ip(opcode: number, ip: Address): void {
    const low = low32(ip);
    const part0 = low & 0xffff;
    const part1 = low >>> 16;
    const part2 = Math.floor(ip / 0x1_0000_0000) & 0xffff;
    const parts = part2 !== this.#last2 ? 3 : part1 !== this.#last1 ? 2 : 1;
    this.#byte((parts << 5) | opcode);
    this.#byte2(part0 & 0xff, part0 >>> 8);
    if (parts > 1) this.#byte2(part1 & 0xff, part1 >>> 8);
    if (parts > 2) this.#byte2(part2 & 0xff, part2 >>> 8);
    this.#last1 = part1;
    this.#last2 = part2;
  }

  #byte2(a: number, b: number): void {
    this.#byte(a);
    this.#byte(b);
  }

  #byte(value: number): void {
    if (this.#length === this.#bytes.length) this.drain();
    this.#bytes[this.#length++] = value;
  }

  /** Gives the packets that are complete to the sink. */
  drain(): void {
    if (this.#length > 0) this.#sink(this.#bytes.slice(0, this.#length));
    this.#psbAt -= this.#length;
    this.#given += this.#length;
    this.#length = 0;
  }
}

/** @param time  ticks of the time stamp counter; a TSC packet has the low 56 bits */
export function tscPacket(time: number): Uint8Array {
  const bytes = Buffer.alloc(9);
  bytes.writeBigUInt64LE(BigInt.asUintN(56, BigInt(Math.trunc(time))), 1);
  bytes[0] = Opcode.tsc;
  return bytes.subarray(0, 8);
}
