import fc from 'fast-check';
import { expect, test } from 'vitest';
import { codeBase as base, codeSpace } from '../../test/code-space.ts';
import { PlainTraceDecoder } from '../../test/plain-trace-decoder.ts';
import { Random } from '../base/random.ts';
import { TraceDecoder } from './trace-decoder.ts';

const psb = Array.from({ length: 16 }, (_, i) => (i % 2 ? 0x82 : 0x02));

// Branches of every kind, loops, calls that return, a recursion and a fault; then random bytes.
const program = [
  0x74, 0x02, 0xeb, 0xfc, 0xe8, 0x01, 0, 0, 0, 0xc3, 0x75, 0x01, 0xc3, 0xff, 0xd0, 0xc3, 0xe2, 0xee,
  0x0f, 0x05, 0xe8, 0xe7, 0xff, 0xff, 0xff, 0xeb, 0xe5, 0xff, 0xe0, 0xcf, 0x0f, 0x0b, 0xe8, 0, 0, 0,
  0, 0xeb, 0xfe,
];
const noise = new Random(11);
const space = codeSpace(
  Uint8Array.from({ length: 2048 }, (_, i) => program[i] ?? noise.below(256)),
);

/** IP packet with 16, 32 or 48 bits. */
function ip(opcode: number, offset: number, compression: number): number[] {
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
const stream = fc
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

async function flowOf(bytes: Uint8Array): Promise<string[]> {
  const decoder = new TraceDecoder({ space, input: bytes });
  const entries: number[] = [];
  await decoder.run((batch) => entries.push(...batch.entries.subarray(0, batch.length)));
  const hex = (address: number | undefined): string => address?.toString(16) ?? '?';
  return entries.map((entry) => {
    if (entry >= 0) {
      const isOutside = decoder.blocks.module[entry] < 0;
      return hex(decoder.blocks.offset[entry] + (isOutside ? 0 : base));
    }
    const mark = decoder.marks[~entry];
    if (mark.kind === 'gap') return `gap ${mark.reason} ${mark.traceOffset} ${mark.bytesLost}`;
    return mark.kind === 'async' ? `async ${hex(mark.from)} ${hex(mark.to)}` : mark.kind;
  });
}

test('any stream decodes as the plain decoder decodes it', async () => {
  await fc.assert(
    fc.asyncProperty(stream, async (bytes) => {
      expect(await flowOf(bytes)).toEqual(new PlainTraceDecoder(space, bytes).run());
    }),
    { numRuns: 1000, seed: 5 },
  );
});

test('long repetitive streams that fit the code do, too', async () => {
  // Random walks: whatever the code asks for, from a few fixed choices, so that stretches come again.
  for (let seed = 1; seed <= 20; seed++) {
    const bytes = walk(new Random(seed));
    const flow = await flowOf(bytes);
    expect(flow.length).toBeGreaterThan(5000);
    expect(flow.some((entry) => entry.startsWith('gap'))).toBe(false);
    expect(flow).toEqual(new PlainTraceDecoder(space, bytes).run());
  }
});

/** A trace of the loop at 0: jz, then call 10, which returns by outcome or TIP, or calls through rax. */
function walk(random: Random): Uint8Array {
  const bytes = [...psb, 0x02, 0x23, ...ip(0x11, 0, 3)];
  const phrases = Array.from({ length: 4 }, () => {
    const loops = random.below(4);
    const phrase: number[] = [];
    // Not taken: 2, 0 again. Taken: call 10.
    for (let i = 0; i < loops; i++) phrase.push(0b10 << 1);
    phrase.push(0b11 << 1);
    const way = random.below(3);
    // 10 not taken: ret at 12, compressed, to 9: ret by TIP to 0.
    if (way === 0) phrase.push(0b101 << 1, ...ip(0x0d, 0, 1));
    // The same without compression.
    else if (way === 1) phrase.push(0b10 << 1, ...ip(0x0d, 9, 2), ...ip(0x0d, 0, 1));
    // Taken: call rax to 15, ret there compressed, to 15 again: ret by TIP.
    else phrase.push(0b11 << 1, ...ip(0x0d, 15, 1), 0b11 << 1, ...ip(0x0d, 0, 3));
    return phrase;
  });
  for (let i = 0; i < 1200; i++) bytes.push(...phrases[random.below(random.below(4) + 1)]);
  return Uint8Array.from(bytes);
}
