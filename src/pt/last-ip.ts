import type { Address } from '../base/address.ts';
import { ipBytes } from './packet.ts';

/**
 * The address that compressed IP packets complete.
 *
 * @see Intel SDM vol. 3, "Intel Processor Trace", IP compression
 */
export class LastIp {
  /** Bits 0..31, and the rest as a multiple of 2^32, signed. */
  #low = 0;
  #high = 0;

  get address(): Address {
    return this.#high * 0x1_0000_0000 + this.#low;
  }

  /** At a PSB. */
  reset(): void {
    this.#low = 0;
    this.#high = 0;
  }

  /**
   * Takes the IP of the whole packet at `offset` (TIP, TIP.PGE, TIP.PGD or FUP).
   *
   * @returns the address, or `undefined` where the packet leaves it out
   */
  update(bytes: Uint8Array, offset: number): Address | undefined {
    const compression = bytes[offset] >> 5;
    const size = ipBytes[compression];
    if (size === 0) return undefined;
    const low16 = bytes[offset + 1] | (bytes[offset + 2] << 8);
    if (size === 2) {
      this.#low = ((this.#low & ~0xffff) | low16) >>> 0;
      return this.address;
    }
    this.#low = (low16 | (bytes[offset + 3] << 16) | (bytes[offset + 4] << 24)) >>> 0;
    if (size === 4) return this.address;
    const middle = bytes[offset + 5] | (bytes[offset + 6] << 8);
    if (size === 8) {
      this.#high = middle | (bytes[offset + 7] << 16) | (bytes[offset + 8] << 24);
    } else {
      const keepsTop = compression === 4;
      const top = keepsTop ? Math.floor(this.#high / 65536) : middle & 0x8000 ? -1 : 0;
      this.#high = top * 65536 + middle;
    }
    return this.address;
  }
}
