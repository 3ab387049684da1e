/**
 * Traces of a made-up program, whole and damaged, decoded by Wayward and by libipt: packet by packet, and
 * instruction by instruction. Where both read a trace without a loss they must agree in all of it; where one
 * loses flow, in all before. What only libipt finds lost is counted by its error code, and printed with SHOW=1.
 * Seeded: a failure prints the seed and stream number that repeat it.
 *
 * Needs a C compiler and libipt (Debian: libipt-dev); LIBIPT_FLAGS compiles against another one.
 *
 * node bench/fuzz-libipt.ts [STREAMS=100000] [SEED=1]
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '../src/base/random.ts';
import { CodeCache } from '../src/flow/code-cache.ts';
import { ControlFlowGraph } from '../src/flow/control-flow-graph.ts';
import { TraceDecoder } from '../src/flow/trace-decoder.ts';
import { PtEncoder, tscPacket } from '../src/pt/encoder.ts';
import { findPsb, packetLength, psbBytes } from '../src/pt/packet.ts';
import { InstructionLength } from '../src/x86/instruction-length.ts';
import { readInstructions } from '../src/x86/instruction-text.ts';
import { Transfer } from '../src/x86/transfer.ts';
import { codeBase as base, codeSpace } from '../test/code-space.ts';

const [streams = 100_000, seed = 1] = process.argv.slice(2).map(Number);
const batch = 2000;
/** Instructions that libipt may run ahead. */
const farAhead = 32;

// Branches of every kind, loops, calls that return, a recursion, system calls.
const program = [
  ...[0x90, 0x74, 0x03, 0x90, 0xeb, 0xfa], // 0: nop jz 6; nop jmp 0
  ...[0xe8, 0x05, 0, 0, 0, 0x90, 0xc3], // 6: call 16; 11: nop ret
  ...[0x90, 0x90, 0x90],
  ...[0x75, 0x04, 0x48, 0x89, 0xc0, 0xc3], // 16: jnz 22; mov ret
  ...[0xff, 0xd0, 0x90, 0xe2, 0xfd, 0xc3], // 22: call rax; 24: nop loop 24; 27: ret
  ...[0x0f, 0x05, 0x90, 0xff, 0xe0], // 28: syscall; 30: nop jmp rax
  ...[0xe8, 0xe4, 0xff, 0xff, 0xff, 0x74, 0xd9, 0xeb, 0xef], // 33: call 10?; jz; jmp
  ...[0xe8, 0, 0, 0, 0, 0x90, 0x7e, 0xcf, 0x48, 0xcf], // 42: call next; nop jle; iretq
  ...[0x41, 0xff, 0xd3, 0xf3, 0xc3, 0x90], // call r11; rep ret
];
const code = Uint8Array.from({ length: 256 }, (_, i) => program[i] ?? 0x90);
code.set([0xeb, 0x80], 254);
const space = codeSpace(code);
/** Where indirect branches and interrupts lead. */
const places = [0, 6, 11, 16, 18, 22, 24, 28, 30, 33, 38, 42, 47, 52].map(
  (offset) => base + offset,
);

const work = mkdtempSync(join(tmpdir(), 'wayward-libipt-'));
const judge = join(work, 'judge');
const image = join(work, 'code');
writeFileSync(image, code);
const source = new URL('./libipt-judge.c', import.meta.url).pathname;
const flags = (process.env.LIBIPT_FLAGS ?? '').split(' ').filter((flag) => flag !== '');
execFileSync('cc', ['-O2', '-o', judge, source, ...flags, '-lipt']);

/** Packets that libipt 2.0.5 does not know, or is stricter with, by first bytes; as docs/benchmarks.md tells. */
const unknownToLibipt = /^(?:d9|0213|0253|0263|0233|02b3|0273)/;

const counts = new Map<string, number>();
const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
const codeCache = new CodeCache();
const lengths = new InstructionLength();
const started = performance.now();
try {
  for (let first = 0; first < streams; first += batch) {
    const made = Array.from({ length: Math.min(batch, streams - first) }, (_, i) => {
      const draw = new Random(seed * 0x9e3779b1 + first + i);
      const whole = walk(draw);
      return draw.below(4) === 0 ? whole : damaged(whole, draw);
    });
    const packets = judged(made, ['packets']);
    const flows = judged(made, ['flow', image, base.toString(16)]);
    for (const [i, bytes] of made.entries()) {
      const problem =
        comparePackets(bytes, packets[i]) ?? compareFlow(await ownFlow(bytes), flows[i]);
      if (problem === undefined) continue;
      console.error(
        `seed ${seed}, stream ${first + i}: ${problem}\n${Buffer.from(bytes).toString('hex')}`,
      );
      console.error(
        `libipt: ${packets[i]}\nlibipt: ${flows[i]}\nours:   ${(await ownFlow(bytes))?.join(' ')}`,
      );
      if (problem.startsWith('libipt alone')) continue;
      process.exitCode = 1;
      break;
    }
    if (process.exitCode === 1) break;
  }
} finally {
  rmSync(work, { recursive: true });
}
const seconds = ((performance.now() - started) / 1000).toFixed(0);
console.log(`${streams} streams, seed ${seed}, ${seconds} s`);
for (const [what, times] of [...counts].sort((a, b) => b[1] - a[1]))
  console.log(`${times} ${what}`);

/** What libipt makes of streams, a line each. */
function judged(made: readonly Uint8Array[], args: string[]): string[] {
  const parts = made.flatMap((bytes) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return [length, bytes];
  });
  const run = spawnSync(judge, args, { input: Buffer.concat(parts), maxBuffer: 1 << 30 });
  if (run.status !== 0) throw new Error(`libipt ended with ${run.status ?? run.signal}`);
  return run.stdout.toString('latin1').split('\n');
}

/** @returns what differs */
function comparePackets(bytes: Uint8Array, theirs: string): string | undefined {
  const ours: string[] = [];
  let at = 0;
  for (let isSynchronized = false; at >= 0 && at < bytes.length; ) {
    if (!isSynchronized) {
      at = findPsb(bytes, at);
      if (at < 0) break;
      isSynchronized = true;
      // Of more than eight 02 82 the last eight are the PSB; the decoder comes there step by step.
      while (bytes[at + psbBytes] === 0x02 && bytes[at + psbBytes + 1] === 0x82) at += 2;
    }
    const length = packetLength(bytes, at, bytes.length);
    if (length === 0) {
      ours.push(`${at}:end`);
      break;
    }
    ours.push(`${at}:${length < 0 ? '!' : length}`);
    isSynchronized = length > 0;
    at = length > 0 ? at + length : Math.max(0, at - 15);
  }
  const list = theirs.split(' ').filter((token) => token !== '');
  if (list.at(-1) === `${bytes.length}:end`) list.pop();
  for (const [i, token] of ours.entries()) {
    if (token === list[i]) continue;
    const offset = Number(token.split(':')[0]);
    const hex = Buffer.from(bytes.subarray(offset, offset + 11)).toString('hex');
    // Behind the first difference both go their own way.
    if (unknownToLibipt.test(hex)) {
      count(
        `packets alike up to ${hex.slice(0, hex.startsWith('02') ? 4 : 2)}, which libipt may not know`,
      );
      return undefined;
    }
    if (token.endsWith(':10') && list[i] === `${offset}:!` && (bytes[offset] & 3) === 3) {
      count('packets alike up to a CYC of ten bytes, of which libipt takes nine');
      return undefined;
    }
    // It asks for all bytes of a PSB before it looks at them.
    if (list[i] === `${offset}:end` && hex.startsWith('0282')) return undefined;
    // Linux' decoder refuses both bits of MODE.Exec and of MODE.TSX together, too.
    if (token.endsWith('!') && /^99.[37bf]/.test(hex)) {
      count('packets alike up to a MODE that means nothing');
      return undefined;
    }
    return `packet ${token} is ${list[i]} to libipt: ${hex}`;
  }
  if (list.length > ours.length) return `libipt finds ${list[ours.length]}, too`;
  count('all packets alike');
  return undefined;
}

/** @returns instructions as libipt's flow tells them; `undefined` where some are of no 64-bit code */
async function ownFlow(bytes: Uint8Array): Promise<string[] | undefined> {
  const decoder = new TraceDecoder({ space, input: bytes, codeCache });
  const entries: number[] = [];
  await decoder.run((part) => void entries.push(...part.entries.subarray(0, part.length)));
  const flow: string[] = [];
  const { blocks, marks } = decoder;
  // libipt does not tell of what lies before the first PSB.
  const first = entries[0] < 0 ? marks[~entries[0]] : undefined;
  if (first?.kind === 'gap' && first.reason === 'not-synchronized') {
    entries.shift();
    // An overflow behind a PSB that says of no flow where it is belongs to what was lost before.
    const lost = Buffer.from(bytes.subarray(0, first.traceOffset + first.bytesLost));
    if (lost.indexOf('02f3', Math.max(0, findPsb(bytes, 0)), 'hex') >= 0) flow.push('O');
  }
  // libipt keeps the mode of a MODE.Exec without its TIP for a later one, past that of a PSB+.
  const isOtherMode = (byte: number, i: number): boolean =>
    byte === 0x99 && bytes[i + 1] >> 5 === 0 && (bytes[i + 1] & 3) !== 1;
  if (bytes.some(isOtherMode)) return undefined;
  if (entries.some((entry) => entry >= 0 && blocks.bitness?.[entry] !== 64)) return undefined;
  for (const [i, entry] of entries.entries()) {
    if (entry < 0) {
      const mark = marks[~entry];
      if (mark.kind === 'gap') flow.push(mark.reason === 'overflow' ? 'O' : `!${mark.reason}`);
      continue;
    }
    const start = blocks.offset[entry] + (blocks.module[entry] < 0 ? 0 : base);
    const next = entries[i + 1];
    const mark = next !== undefined && next < 0 ? marks[~next] : undefined;
    // The block may have been left before its instruction at `from`.
    const from = mark?.kind === 'async' && mark.from !== undefined ? mark.from : start;
    const whole = start + blocks.size[entry];
    const end = from > start && from < whole ? from : whole;
    for (let at = start; at < end; ) {
      flow.push(at.toString(16));
      const length = lengths.read(code, at - base, true);
      if (length > 0) at += length;
      else at += readInstructions(code.subarray(at - base), at, 64)[0]?.size ?? 1;
    }
  }
  return flow;
}

/** @returns what differs */
function compareFlow(ours: readonly string[] | undefined, line: string): string | undefined {
  if (ours === undefined) {
    count('flow left out: damage made some of it 16- or 32-bit code');
    return undefined;
  }
  const theirs = line.split(' ').filter((token) => token !== '');
  const isLoss = (token: string): boolean => token.startsWith('!') || token === 'endless';
  const ourLoss = ours.findIndex(isLoss);
  const theirLoss = theirs.findIndex(isLoss);
  const mine = segments(ourLoss < 0 ? ours : ours.slice(0, ourLoss));
  const others = segments(theirLoss < 0 ? theirs : theirs.slice(0, theirLoss));
  const shared = Math.min(mine.length, others.length);
  for (let i = 0; i < shared; i++) {
    const length = Math.min(mine[i].length, others[i].length);
    for (let j = 0; j < length; j++) {
      if (mine[i][j] === others[i][j]) continue;
      const isLast = theirLoss >= 0 && i === others.length - 1;
      if (isLast && others[i].length - j <= farAhead) {
        // It runs on to the instruction that an event asks for, a PTWRITE for PTW, and does not find it.
        count('flow alike up to where libipt ran ahead into its loss');
        return undefined;
      }
      return `instruction ${j} of part ${i}: ${mine[i][j]}, ${others[i][j]}`;
    }
    // libipt goes on to where it needs the next packet; Wayward waits for it.
    const isWhole = i < shared - 1 || (ourLoss < 0 && theirLoss < 0);
    if (isWhole && mine[i].length > length)
      return `part ${i} has ${mine[i].length - length} instructions more`;
    if (isWhole && others[i].length - length > 64) return `part ${i} ends early`;
  }
  if (ourLoss < 0 && theirLoss < 0) {
    // Nor of an overflow behind which nothing comes.
    const more = mine.slice(others.length);
    if (others.length > mine.length || more.some((part) => part.length > 0))
      return 'not the same overflows';
    count('flow alike, without a loss');
  } else if (ourLoss >= 0 && theirLoss >= 0) count('flow alike up to a loss for both');
  else if (ourLoss >= 0) count(`only Wayward tells a loss: ${ours[ourLoss]}`);
  else if (mine.length > others.length) count('libipt tells a loss, Wayward an overflow');
  else {
    count(`only libipt tells a loss: ${theirs[theirLoss]}`);
    if (process.env.SHOW) return `libipt alone ${theirs[theirLoss]}`;
  }
  return undefined;
}

function segments(flow: readonly string[]): string[][] {
  const parts: string[][] = [[]];
  for (const [i, token] of flow.entries()) {
    // Overflows with nothing between them are one.
    if (token === 'O' && flow[i - 1] === 'O') continue;
    if (token === 'O') parts.push([]);
    else parts.at(-1)?.push(token);
  }
  return parts;
}

/** A run of the program, as a processor would write it. */
function walk(draw: Random): Uint8Array {
  const parts: Uint8Array[] = [];
  const compressReturns = draw.below(2) === 0;
  const encoder = new PtEncoder((part) => void parts.push(part), { bitness: 64, compressReturns });
  const graph = new ControlFlowGraph(space, codeCache);
  const calls: number[] = [];
  const place = (): number => places[draw.below(places.length)];
  let at = place();
  encoder.enable(at);
  for (let step = 4 + draw.below(40); step > 0; step--) {
    const node = graph.nodeAt(at, 64);
    const start = graph.address[node];
    const end = start + graph.size[node];
    const kind = graph.kind[node];
    const event = draw.below(60);
    if (event < 12) at = happen(encoder, event, at, place, draw);
    if (event === 0 || event === 1) calls.length = 0;
    if (event < 12) continue;
    switch (kind) {
      case Transfer.jcc: {
        const taken = draw.below(2) === 0;
        encoder.branch(taken);
        at = taken ? graph.address[graph.targetOf(node)] : end;
        break;
      }
      case Transfer.call:
        at = graph.address[graph.targetOf(node)];
        if (at !== end) {
          encoder.call(end);
          calls.push(end);
        }
        break;
      case Transfer.jmp:
        at = graph.address[graph.targetOf(node)];
        break;
      case Transfer.icall:
        encoder.call(end);
        calls.push(end);
        at = place();
        encoder.indirect(at);
        break;
      case Transfer.ret:
        at = (draw.below(8) > 0 ? calls.pop() : undefined) ?? place();
        encoder.return(at);
        break;
      case Transfer.ijmp:
      case Transfer.far:
        at = place();
        encoder.indirect(at);
        break;
      default:
        encoder.disable();
        at = kind === Transfer.syscall ? end : place();
        encoder.enable(at);
    }
    if (draw.below(12) === 0) {
      encoder.restart();
      encoder.synchronize(at);
    }
  }
  if (draw.below(2) === 0) encoder.disable();
  encoder.finish();
  return Buffer.concat(parts);
}

/** Something that no instruction asks for. @returns where flow goes on */
function happen(
  encoder: PtEncoder,
  event: number,
  at: number,
  place: () => number,
  draw: Random,
): number {
  switch (event) {
    case 0: {
      encoder.overflow();
      const to = place();
      if (draw.below(2)) encoder.resume(to);
      else encoder.enable(to);
      return to;
    }
    case 1: {
      const to = place();
      encoder.interrupt(at);
      encoder.restart();
      encoder.enable(to);
      return to;
    }
    case 2:
      encoder.interrupt(at);
      encoder.enable(at);
      return at;
    case 3: {
      const to = place();
      encoder.resume(at);
      encoder.indirect(to);
      return to;
    }
    case 4:
      encoder.packet([0x99, 0x20 | draw.below(2)]);
      encoder.resume(at);
      return at;
    case 5:
      // PTW is not among them: libipt looks for its instruction.
      encoder.packet(draw.below(2) ? [0x02, 0x62] : [0x02, 0xc3, 0x88, 1, 2, 3, 4, 5, 6, 7, 8]);
      return at;
    case 6: {
      const to = place();
      encoder.packet([0x99, 0x22]);
      encoder.resume(at);
      encoder.indirect(to);
      return to;
    }
    case 7:
      encoder.packet([0x02, 0x03, 8 + draw.below(20), 0]);
      return at;
    case 8:
      encoder.packet([0x59, draw.below(256), 0x03 | (draw.below(32) << 3)]);
      return at;
    case 9:
      encoder.packet(tscPacket(draw.below(1 << 30)));
      return at;
    case 10:
      encoder.packet([0x02, 0xe2]);
      encoder.resume(at);
      return at;
    default:
      // Nor PIP, nor VMCS: libipt looks for MOV CR3 and VMPTRLD.
      encoder.packet([0x00, 0x00]);
      return at;
  }
}

function damaged(whole: Uint8Array, draw: Random): Uint8Array {
  let bytes = [...whole];
  for (let n = 1 + draw.below(3); n > 0 && bytes.length > 0; n--) {
    const at = draw.below(bytes.length);
    const size = draw.below(20);
    const kind = draw.below(6);
    if (kind === 0) bytes[at] ^= 1 << draw.below(8);
    else if (kind === 1) bytes.splice(at, size);
    else if (kind === 2) bytes.splice(at, 0, ...bytes.slice(at, at + size));
    else if (kind === 3) bytes[at] = draw.below(256);
    else if (kind === 4)
      bytes.splice(at, 0, ...Array.from({ length: size }, () => draw.below(256)));
    else bytes = bytes.slice(0, at);
  }
  return Uint8Array.from(bytes);
}
