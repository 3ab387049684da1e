import { Ext, Opcode } from '../../pt/packet.ts';

/** How MTC packets count: from `AUXTRACE_INFO` and the event's configuration. */
export interface MtcRate {
  /** An MTC packet comes every 2^`shift` ticks of the crystal clock. */
  readonly shift: number;
  /** Ticks of the time stamp counter for each tick of the crystal clock. */
  readonly ratio: number;
}

/**
 * The time at which packets were made, from TSC, TMA and MTC packets; CYC packets are left out,
 * which makes it early by less than an MTC period.
 *
 * @see Intel SDM vol. 3, "Intel Processor Trace", TSC, TMA and MTC packets
 */
export class PtClock {
  readonly #rate: MtcRate | undefined;
  /** Ticks; -1 before the first TSC packet. */
  time = -1;
  /** Time at the last MTC boundary that is known exactly, and that boundary's number; -1 = none. */
  #base = 0;
  #lastMtc = -1;
  #passed = 0;

  constructor(rate: MtcRate | undefined) {
    this.#rate = rate;
  }

  /** Takes a whole packet; those that hold no time are left alone. */
  packet(bytes: Uint8Array, offset: number): void {
    const byte = bytes[offset];
    if (byte === Opcode.tsc) {
      this.time = tsc(bytes, offset);
      this.#lastMtc = -1;
    } else if (byte === Opcode.mtc) this.#mtc(bytes[offset + 1]);
    else if (byte === Opcode.ext && bytes[offset + 1] === Ext.tma) this.#tma(bytes, offset);
  }

  #tma(bytes: Uint8Array, offset: number): void {
    if (this.#rate === undefined || this.time < 0) return;
    const { shift, ratio } = this.#rate;
    const crystal = bytes[offset + 2] | (bytes[offset + 3] << 8);
    const fast = bytes[offset + 5] | ((bytes[offset + 6] & 1) << 8);
    this.#base = this.time - fast - (crystal % 2 ** shift) * ratio;
    this.#lastMtc = (crystal >> shift) & 0xff;
    this.#passed = 0;
  }

  #mtc(count: number): void {
    if (this.#rate === undefined || this.#lastMtc < 0) return;
    this.#passed += (count - this.#lastMtc) & 0xff;
    this.#lastMtc = count;
    const { shift, ratio } = this.#rate;
    this.time = Math.max(this.time, this.#base + this.#passed * 2 ** shift * ratio);
  }
}

/** @returns the 56 bits of a TSC packet as a double */
export function tsc(bytes: Uint8Array, offset: number): number {
  const low = bytes[offset + 1] | (bytes[offset + 2] << 8) | (bytes[offset + 3] << 16);
  const middle = bytes[offset + 4] | (bytes[offset + 5] << 8) | (bytes[offset + 6] << 16);
  return low + middle * 2 ** 24 + bytes[offset + 7] * 2 ** 48;
}
