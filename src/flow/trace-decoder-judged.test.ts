import fc from 'fast-check';
import { expect, test } from 'vitest';
import { codeBase as base } from '../../test/code-space.ts';
import { ip, psb, streamSpace as space, stream } from '../../test/packet-streams.ts';
import { PlainTraceDecoder } from '../../test/plain-trace-decoder.ts';
import { Random } from '../base/random.ts';
import { TraceDecoder } from './trace-decoder.ts';

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
