/**
 * Damaged and random Intel PT streams against the decoder: it must not throw, hang or grow, and must
 * report what it lost. Seeded: a failure prints the seed and stream number that repeat it.
 *
 * node bench/fuzz.ts [MUTATED=1000000] [RANDOM=100000] [SEED=1]
 */

import { Random } from '../src/base/random.ts';
import { CodeCache } from '../src/flow/code-cache.ts';
import { TraceDecoder } from '../src/flow/trace-decoder.ts';
import { errataOf, noErrata } from '../src/pt/errata.ts';
import { codeBase as base, codeSpace } from '../test/code-space.ts';

const [mutated = 1_000_000, random = 100_000, seed = 1] = process.argv.slice(2).map(Number);
/** A stream of a few hundred bytes takes well below a millisecond of the processor; a hang takes for ever. */
const slowMs = 5000;
const psb = Array.from({ length: 16 }, (_, i) => (i % 2 ? 0x82 : 0x02));

// Branches of every kind, loops, a recursion and a fault, then random bytes.
const program = [
  0x74, 0x02, 0xeb, 0xfc, 0xe8, 0x01, 0, 0, 0, 0xc3, 0x75, 0x01, 0xc3, 0xff, 0xd0, 0xc3, 0xe2, 0xee,
  0x0f, 0x05, 0xe8, 0xe7, 0xff, 0xff, 0xff, 0xeb, 0xfe, 0xff, 0xe0, 0xcf, 0x0f, 0x0b,
];
const filler = new Random(seed);
const code = Uint8Array.from({ length: 4096 }, (_, i) => program[i] ?? filler.below(256));
const space = codeSpace(code);

const started = performance.now();
let slowest = 0;
let gaps = 0;
let blocks = 0;
let settled = 0;
for (let i = 0; i < mutated + random; i++) {
  const draw = new Random(seed * 0x9e3779b1 + i);
  const stream = i < mutated ? mutate(validStream(draw), draw) : randomStream(draw);
  const before = process.cpuUsage();
  try {
    await check(stream, draw);
  } catch (error) {
    console.error(`seed ${seed}, stream ${i}: ${Buffer.from(stream).toString('hex')}`);
    throw error;
  }
  const used = process.cpuUsage(before);
  const ms = (used.user + used.system) / 1000;
  if (ms > slowMs) throw new Error(`seed ${seed}, stream ${i} took ${ms.toFixed(0)} ms`);
  slowest = Math.max(slowest, ms);
  // The first streams warm the heap up; from then on it must not grow.
  if (i === 10_000) settled = process.memoryUsage().rss;
}
const seconds = (performance.now() - started) / 1000;
const rss = process.memoryUsage().rss;
console.log(
  `${mutated} mutated and ${random} random streams in ${seconds.toFixed(0)} s, seed ${seed}: ${blocks} blocks, ` +
    `${gaps} gaps, slowest ${slowest.toFixed(1)} ms, ${(rss / 1e6).toFixed(0)} MB` +
    (settled > 0 ? ` (${(settled / 1e6).toFixed(0)} MB after 10,000)` : ''),
);
if (rss > 600e6) throw new Error('memory grew beyond 600 MB');

async function check(stream: Uint8Array, draw: Random): Promise<void> {
  // The cache is private: hostile code of one stream must not shape the next.
  const codeCache = new CodeCache();
  const errata = draw.below(4) === 0 ? errataOf({ family: 6, model: 94, stepping: 3 }) : noErrata;
  const decoder = new TraceDecoder({ space, input: cut(stream, draw), codeCache, errata });
  let seenMarks = 0;
  let seenBlocks = 0;
  const summary = await decoder.run(({ entries, length }) => {
    for (let i = 0; i < length; i++) {
      if (entries[i] >= 0) {
        seenBlocks++;
        expectThat(entries[i] < decoder.blocks.length, 'a block id outside the table');
      } else {
        expectThat(~entries[i] === seenMarks++, 'marks out of order');
      }
    }
  });
  codeCache.dispose();
  const found = decoder.marks.filter((mark) => mark.kind === 'gap');
  let lost = 0;
  let last = 0;
  for (const gap of found) {
    expectThat(gap.traceOffset >= last, 'gaps out of order');
    expectThat(gap.traceOffset + gap.bytesLost <= stream.length, 'more lost than there is');
    last = gap.traceOffset + gap.bytesLost;
    lost += gap.bytesLost;
  }
  expectThat(summary.traceBytes === stream.length, 'bytes not accounted for');
  expectThat(summary.blocks === seenBlocks, 'blocks miscounted');
  expectThat(summary.gaps === found.length && seenMarks === decoder.marks.length, 'marks missing');
  expectThat(summary.bytesLost === lost, 'lost bytes miscounted');
  if (stream.length > 0 && Buffer.from(stream).indexOf(Buffer.from(psb)) < 0) {
    expectThat(
      found.length === 1 && lost === stream.length,
      'a stream without PSB is not all lost',
    );
  }
  gaps += summary.gaps;
  blocks += summary.blocks;
}

function expectThat(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

async function* cut(stream: Uint8Array, draw: Random): AsyncGenerator<Uint8Array> {
  const at = draw.below(stream.length + 1);
  yield stream.subarray(0, at);
  yield stream.subarray(at);
}

/** Packets that are well formed; whether they fit the code is left to chance. */
function validStream(draw: Random): Uint8Array {
  const bytes: number[] = [...psb, 0x02, 0x23, ...ip(0x11, base)];
  const any = (n: number): number[] => Array.from({ length: n }, () => draw.below(256));
  const place = (): number =>
    base + (draw.below(4) ? draw.below(program.length) : draw.below(4200));
  const start = bytes.length;
  for (let n = draw.below(60); n > 0; n--) {
    const pick = draw.below(32);
    if (pick < 14) bytes.push(4 + 2 * draw.below(126));
    else if (pick < 20) bytes.push(...ip(0x0d, place()));
    else if (pick === 20) bytes.push(...ip(0x1d, place()), ...ip(0x0d, place()));
    else if (pick === 21) bytes.push(...ip(0x1d, place()), 0x01, ...ip(0x11, place()));
    else if (pick === 22) bytes.push(0x01, ...ip(0x11, place()));
    else if (pick === 23) bytes.push(...psb, ...ip(0x1d, place()), 0x02, 0x23);
    else if (pick === 24) bytes.push(0x02, 0xf3, ...ip(0x1d, place()));
    else if (pick === 25) bytes.push(0x99, draw.below(64));
    else if (pick === 26) bytes.push(0x02, 0xa3, ...any(6));
    else if (pick === 27) bytes.push(0x19, ...any(7));
    else if (pick === 28) bytes.push(0x02, 0x12 | (draw.below(8) << 5), ...any(8));
    else if (pick === 29) bytes.push(0x02, 0x13, ...any(2), ...ip(0x1d, place()));
    else if (pick === 30 && draw.below(2)) bytes.push(0x02, 0x83, 0x02, 0x43, ...any(6));
    else if (pick === 30) bytes.push(0x02, 0x63, draw.below(256), 0x04, ...any(8), 0x02, 0x33);
    else bytes.push(0x00, 0x59, draw.below(256), 0x03 | (draw.below(32) << 3));
  }
  // Repetition is what the decoder remembers.
  const body = bytes.slice(start);
  if (draw.below(8) === 0) for (let n = draw.below(24); n > 0; n--) bytes.push(...body);
  return Uint8Array.from(bytes);
}

function mutate(stream: Uint8Array, draw: Random): Uint8Array {
  let bytes = [...stream];
  for (let n = 1 + draw.below(4); n > 0; n--) {
    const at = draw.below(bytes.length + 1);
    const size = draw.below(24);
    const kind = draw.below(6);
    if (kind === 0) bytes[Math.min(at, bytes.length - 1)] ^= 1 << draw.below(8);
    else if (kind === 1) bytes.splice(at, size);
    else if (kind === 2) bytes.splice(at, 0, ...bytes.slice(at, at + size));
    else if (kind === 3)
      bytes.splice(at, 0, ...Array.from({ length: size }, () => draw.below(256)));
    else if (kind === 4) bytes.splice(at, 0, ...psb);
    else bytes = bytes.slice(0, at);
    if (bytes.length === 0) break;
  }
  return Uint8Array.from(bytes);
}

function randomStream(draw: Random): Uint8Array {
  const noise = Array.from({ length: draw.below(400) }, () => draw.below(256));
  return Uint8Array.from(draw.below(2) ? [...psb, ...noise] : noise);
}

function ip(opcode: number, address: number): number[] {
  return [opcode | (2 << 5), ...[0, 8, 16, 24].map((shift) => (address >>> shift) & 255)];
}
