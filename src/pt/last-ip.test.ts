import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LastIp } from './last-ip.ts';
import { IpPacket } from './packet.ts';

/** What the manual says, in 64-bit integers. */
function judge(last: bigint, compression: number, payload: readonly number[]): bigint {
  const value = payload.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  switch (compression) {
    case 1:
      return (last & ~0xffffn) | value;
    case 2:
      return (last & ~0xffff_ffffn) | value;
    case 3:
      return BigInt.asUintN(64, BigInt.asIntN(48, value));
    case 4:
      return (last & ~0xffff_ffff_ffffn) | value;
    case 6:
      return value;
    default:
      return last;
  }
}

const sizes = [0, 2, 4, 6, 6, 0, 8] as const;

const packet = fc
  .constantFrom(0, 1, 2, 3, 4, 6)
  .chain((compression) =>
    fc
      .uint8Array({ minLength: sizes[compression], maxLength: sizes[compression] })
      .map((payload) => ({ compression, payload: [...payload] })),
  );

test('undoes every compression, one packet after the other', () => {
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 20 }), (packets) => {
      const ip = new LastIp();
      let expected = 0n;
      for (const { compression, payload } of packets) {
        const bytes = Uint8Array.of(IpPacket.tip | (compression << 5), ...payload);
        expect(ip.update(bytes, 0)).toBe(bytes.length);
        expected = judge(expected, compression, payload);
        expect(BigInt(ip.low >>> 0) | (BigInt(ip.high >>> 0) << 32n)).toBe(expected);
        const address = BigInt.asIntN(64, expected);
        if (Number.isSafeInteger(Number(address))) expect(BigInt(ip.address)).toBe(address);
      }
      ip.reset();
      expect(ip.address).toBe(0);
    }),
    { seed: 1 },
  );
});
