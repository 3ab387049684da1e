import fc from 'fast-check';
import { Random } from '../src/base/random.ts';
import type { AddressSpace } from '../src/image/address-space.ts';
import { codeBase as base, codeSpace } from './code-space.ts';

export const psb: readonly number[] = Array.from({ length: 16 }, (_, i) => (i % 2 ? 0x82 : 0x02));

// Branches of every kind, loops, calls that return, a recursion and a fault; then random bytes.
export const program: readonly number[] = [
  0x74, 0x02, 0xeb, 0xfc, 0xe8, 0x01, 0, 0, 0, 0xc3, 0x75, 0x01, 0xc3, 0xff, 0xd0, 0xc3, 0xe2, 0xee,
  0x0f, 0x05, 0xe8, 0xe7, 0xff, 0xff, 0xff, 0xeb, 0xe5, 0xff, 0xe0, 0xcf, 0x0f, 0x0b, 0xe8, 0, 0, 0,
  0, 0xeb, 0xfe,
];
const noise = new Random(11);
/** `program`, and noise behind it. */
export const streamSpace: AddressSpace = codeSpace(
  Uint8Array.from({ length: 2048 }, (_, i) => program[i] ?? noise.below(256)),
);

/** IP packet with 16, 32 or 48 bits. */
export function ip(opcode: number, offset: number, compression: number): number[] {
  const address = base + offset;
  const bytes = [0, 8, 16, 24].map((shift) => (address >>> shift) & 255);
  if (compression === 1) return [opcode | (1 << 5), ...bytes.slice(0, 2)];
  if (compression === 2) return [opcode | (2 << 5), ...bytes];
  return [opcode | (compression << 5), ...bytes, 0, 0];
}

const place = fc.oneof(
  { weight: 5, arbitrary: fc.nat(program.length - 1) },
  { weight: 1, arbitrary: fc.nat(2100) },
);
const compression = fc.constantFrom(1, 1, 2, 3, 4);
const ipOf = (opcode: number): fc.Arbitrary<number[]> =>
  fc.tuple(place, compression).map(([offset, how]) => ip(opcode, offset, how));
const outcomes = fc.integer({ min: 2, max: 127 }).map((key) => [key << 1]);
const packet = fc.oneof(
  { weight: 8, arbitrary: outcomes },
  { weight: 6, arbitrary: ipOf(0x0d) },
  { weight: 1, arbitrary: ipOf(0x11) },
  { weight: 1, arbitrary: fc.oneof(ipOf(0x01), fc.constant([0x01])) },
  {
    weight: 1,
    arbitrary: fc.tuple(ipOf(0x1d), fc.oneof(ipOf(0x0d), ipOf(0x01))).map((p) => p.flat()),
  },
  { weight: 1, arbitrary: ipOf(0x1d) },
  { weight: 1, arbitrary: ipOf(0x1d).map((fup) => [...psb, ...fup, 0x02, 0x23]) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(255), ipOf(0x1d), fc.constantFrom(1, 1, 1, 2))
      .map(([time, fup, mode]) => [
        ...[...psb, 0x19, time, 1, 0, 0, 0, 0, 0, 0x99, mode],
        ...[...fup, 0x02, 0x23],
      ]),
  },
  { weight: 1, arbitrary: fc.nat(255).map((count) => [0x59, count]) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      [0x02, 0xf3],
      [0x99, 0x01],
      [0x99, 0x02],
      [0x99, 0x00],
      [0x99, 0x21],
      [0x99, 0x22],
      [0x00],
      [0x02, 0xe2],
      [0x02, 0x63, 0x84],
      [0x02, 0x33],
      [0x02, 0x92, 1, 2, 3, 4],
      [0x19, 1, 2, 3, 4, 5, 6, 7],
      [0x03],
      psb,
    ),
  },
  {
    weight: 1,
    arbitrary: fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) => [0x02, 0xa3, ...bytes]),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 5 }).map((bytes) => [...bytes]) },
);

/** Packets in groups that come again and again, which is what the decoder remembers. */
export const stream: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.array(fc.tuple(fc.array(packet, { maxLength: 12 }), fc.integer({ min: 1, max: 30 })), {
      maxLength: 6,
    }),
    place,
  )
  .map(([groups, start]) =>
    Uint8Array.from([
      ...psb,
      0x02,
      0x23,
      ...ip(0x11, start, 3),
      ...groups.flatMap(([packets, times]) =>
        Array.from({ length: times }, () => packets.flat()).flat(),
      ),
    ]),
  );
