import type { Address } from '../base/address.ts';
import { ipBytes } from './packet.ts';

/**
 * The address that compressed IP packets complete. The only place that undoes the compression; it
 * runs for every indirect transfer of a trace.
 *
 * @see Intel SDM vol. 3, "Intel Processor Trace", IP compression
 */
export class LastIp {
  /** Bits 0..31, and the rest as a multiple of 2^32; both signed, so that they are small integers. */
  low = 0;
  high = 0;

  /** No safe integer where a damaged packet gives 64 bits that are no address. */
  get address(): Address {
    return this.high * 0x1_0000_0000 + (this.low >>> 0);
  }

  /** At a PSB, and after packets were lost. */
  reset(): void {
    this.low = 0;
    this.high = 0;
  }

  /**
   * Takes the IP of the whole packet at `offset` (TIP, TIP.PGE, TIP.PGD or FUP).
   *
   * @returns bytes of the packet; 1 where it leaves the IP out
   */
  update(bytes: Uint8Array, offset: number): number {
    const compression = bytes[offset] >> 5;
    const low16 = bytes[offset + 1] | (bytes[offset + 2] << 8);
    switch (compression) {
      case 1:
        this.low = (this.low & ~0xffff) | low16;
        return 3;
      case 2:
        this.low = low16 | (bytes[offset + 3] << 16) | (bytes[offset + 4] << 24);
        return 5;
      case 3:
        this.low = low16 | (bytes[offset + 3] << 16) | (bytes[offset + 4] << 24);
        this.high = ((bytes[offset + 5] | (bytes[offset + 6] << 8)) << 16) >> 16;
        return 7;
      case 4:
        this.low = low16 | (bytes[offset + 3] << 16) | (bytes[offset + 4] << 24);
        this.high = (this.high & ~0xffff) | bytes[offset + 5] | (bytes[offset + 6] << 8);
        return 7;
      case 6:
        this.low = low16 | (bytes[offset + 3] << 16) | (bytes[offset + 4] << 24);
        this.high =
          bytes[offset + 5] |
          (bytes[offset + 6] << 8) |
          (bytes[offset + 7] << 16) |
          (bytes[offset + 8] << 24);
        return 9;
      default:
        return 1 + Math.max(0, ipBytes[compression]);
    }
  }
}
