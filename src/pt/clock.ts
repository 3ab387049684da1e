import { Ext, Opcode } from './packet.ts';

/** How MTC packets count. */
export interface MtcRate {
  /** An MTC packet comes every 2^`shift` ticks of the crystal clock. */
  readonly shift: number;
  /** Ticks of the time stamp counter for each tick of the crystal clock. */
  readonly ratio: number;
}

/** Shifts that a processor may be set to: IA32_RTIT_CTL.MTCFreq. */
const allShifts = 0xffff;
/** Fewer cycles say little of how fast they go: the last ones are in no packet yet. */
const fewCycles = 100;
/** Of cycles further back less and less counts. */
const manyCycles = 1 << 20;
/** Ticks of the crystal clock after which TMA's count of them begins anew. */
const crystalWrap = 0x10000;

/**
 * The time at which packets were made. TSC packets tell it; between them MTC packets do, exactly, and CYC
 * packets by how many cycles went before.
 *
 * Without a rate it is worked out from the trace: TMA says what the crystal clock showed at a TSC packet,
 * which the MTC packets behind count on in steps of 2^`shift`, and two of them how fast it runs.
 *
 * @see Intel SDM vol. 3, "Intel Processor Trace", TSC, TMA, MTC, CYC and CBR packets
 */
export class PtClock {
  /** Ticks; -1 before the first TSC packet. */
  time = -1;
  #shift: number;
  #ratio: number;
  readonly #isRateGiven: boolean;
  /** Bit n is set where shift n is possible. */
  #shifts = allShifts;

  /** Time at the last MTC boundary before TMA, where the rate is known. */
  #base = 0;
  /** Number of the last MTC boundary; -1 = none is known. */
  #lastMtc = -1;
  /** Boundaries since the TMA packet. */
  #passed = 0;
  /** The last TMA packet: crystal clock, and the time at its last tick; -1 = none. */
  #tmaCrystal = -1;
  #tmaTime = 0;

  /** The last time that TSC or MTC told, and cycles since. */
  #certain = -1;
  #cycles = 0;
  /** Ticks for each cycle; 0 = not known. */
  #pace = 0;
  /** What it is measured over, since the core's speed changed. */
  #paceTicks = 0;
  #paceCycles = 0;
  /** Core to bus ratio, in CBR. */
  #coreRatio = 0;

  constructor(rate?: MtcRate) {
    this.#isRateGiven = rate !== undefined;
    this.#shift = rate?.shift ?? -1;
    this.#ratio = rate?.ratio ?? 0;
  }

  /** Takes a whole packet; those that hold no time are left alone. */
  packet(bytes: Uint8Array, offset: number): void {
    const byte = bytes[offset];
    if ((byte & 3) === 3) this.#cyc(bytes, offset);
    else if (byte === Opcode.tsc) this.#tsc(bytes, offset);
    else if (byte === Opcode.mtc) this.#mtc(bytes[offset + 1]);
    else if (byte === Opcode.ext) {
      const second = bytes[offset + 1];
      if (second === Ext.tma) this.#tma(bytes, offset);
      else if (second === Ext.cbr) this.#cbr(bytes[offset + 2]);
      else if (second === Ext.ovf) this.lose();
    }
  }

  /** Packets were lost: how many cycles and boundaries went by is not known. */
  lose(): void {
    this.#lastMtc = -1;
    this.#tmaCrystal = -1;
    this.#certain = -1;
  }

  #tsc(bytes: Uint8Array, offset: number): void {
    this.#tell(tsc(bytes, offset));
    this.#lastMtc = -1;
  }

  /** Time is `time` for certain. */
  #tell(time: number): void {
    if (this.#certain >= 0 && time > this.#certain && this.#cycles > 0) {
      this.#paceTicks += time - this.#certain;
      this.#paceCycles += this.#cycles;
      if (this.#paceCycles >= fewCycles) this.#pace = this.#paceTicks / this.#paceCycles;
      if (this.#paceCycles > manyCycles) {
        this.#paceTicks /= 2;
        this.#paceCycles /= 2;
      }
    }
    // An estimate may have run ahead; a counter that was set back is another matter.
    this.time = time < this.#certain ? time : Math.max(time, this.time);
    this.#certain = time;
    this.#cycles = 0;
  }

  #tma(bytes: Uint8Array, offset: number): void {
    if (this.time < 0) return;
    const crystal = bytes[offset + 2] | (bytes[offset + 3] << 8);
    const fast = bytes[offset + 5] | ((bytes[offset + 6] & 1) << 8);
    const time = this.time - fast;
    if (!this.#isRateGiven) this.#measure(crystal, time);
    this.#tmaCrystal = crystal;
    this.#tmaTime = time;
    this.#passed = 0;
    this.#lastMtc = -1;
    if (this.#shift < 0) return;
    this.#lastMtc = (crystal >> this.#shift) & 0xff;
    this.#base = time - (crystal % 2 ** this.#shift) * this.#ratio;
  }

  /** Works the ratio out between two TMA packets. */
  #measure(crystal: number, time: number): void {
    if (this.#tmaCrystal < 0 || this.#shift < 0 || time <= this.#tmaTime) return;
    const passed = this.#passed * 2 ** this.#shift;
    const rest = (crystal - this.#tmaCrystal + crystalWrap) % crystalWrap;
    // Whole rounds of TMA's count, of which the boundaries tell.
    const ticks = rest + Math.max(0, Math.round((passed - rest) / crystalWrap)) * crystalWrap;
    if (ticks < 2 ** this.#shift) return;
    const ratio = (time - this.#tmaTime) / ticks;
    // Boundaries that are missing make it too large, never too small.
    if (this.#ratio === 0 || ratio < this.#ratio) this.#ratio = ratio;
  }

  #mtc(count: number): void {
    if (this.#shift < 0) {
      this.#narrow(count);
      return;
    }
    if (this.#lastMtc < 0) return;
    this.#passed += (count - this.#lastMtc) & 0xff;
    this.#lastMtc = count;
    if (this.#ratio === 0) return;
    const time = this.#base + this.#passed * 2 ** this.#shift * this.#ratio;
    if (time > this.#certain) this.#tell(time);
  }

  /** The first boundary after TMA is the next one for few shifts. */
  #narrow(count: number): void {
    if (this.#tmaCrystal < 0) return;
    let fitting = 0;
    for (let shift = 0; shift < 16; shift++) {
      if (((count - (this.#tmaCrystal >> shift)) & 0xff) === 1) fitting |= 1 << shift;
    }
    const left = this.#shifts & fitting;
    this.#shifts = left === 0 ? allShifts : left;
    if (left !== 0 && (left & (left - 1)) === 0) this.#shift = 31 - Math.clz32(left);
    // One boundary for each TMA packet, and none to count from before the next.
    this.#tmaCrystal = -1;
  }

  #cyc(bytes: Uint8Array, offset: number): void {
    let cycles = bytes[offset] >> 3;
    let isMore = (bytes[offset] & 4) !== 0;
    for (let at = offset + 1, scale = 32; isMore; at++, scale *= 128) {
      cycles += (bytes[at] >> 1) * scale;
      isMore = (bytes[at] & 1) !== 0;
    }
    this.#cycles += cycles;
    if (this.#certain < 0 || this.#pace === 0) return;
    const estimate = this.#certain + this.#cycles * this.#pace;
    this.time = Math.max(this.time, Math.min(estimate, this.#nextBoundary));
  }

  /** MTC tells it when it is reached. */
  get #nextBoundary(): number {
    if (this.#lastMtc < 0 || this.#ratio === 0) return Number.POSITIVE_INFINITY;
    return this.#base + (this.#passed + 1) * 2 ** this.#shift * this.#ratio;
  }

  /** The core runs at another speed, the time stamp counter does not. */
  #cbr(ratio: number): void {
    if (ratio === 0 || ratio === this.#coreRatio) return;
    if (this.#coreRatio !== 0) {
      this.#pace *= this.#coreRatio / ratio;
      this.#paceTicks = 0;
      this.#paceCycles = 0;
      // What was counted at the old speed is kept as time.
      this.#certain = Math.max(this.#certain, this.time);
      this.#cycles = 0;
    }
    this.#coreRatio = ratio;
  }
}

/** @returns the 56 bits of a TSC packet as a double */
export function tsc(bytes: Uint8Array, offset: number): number {
  const low = bytes[offset + 1] | (bytes[offset + 2] << 8) | (bytes[offset + 3] << 16);
  const middle = bytes[offset + 4] | (bytes[offset + 5] << 8) | (bytes[offset + 6] << 16);
  return low + middle * 2 ** 24 + bytes[offset + 7] * 2 ** 48;
}
