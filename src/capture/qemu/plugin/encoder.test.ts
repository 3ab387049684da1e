import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Decoder, DecoderError, DecoderOptions } from 'iced-x86';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasTool } from '../../../../test/compiled.ts';
import { Random } from '../../../base/random.ts';
import { PtEncoder } from '../../../pt/encoder.ts';
import { BlockEncoder, TranslationTable } from '../block-encoder.ts';
import { Recording } from '../recording.ts';
import { readTail, tailHeaderBytes } from './tail.ts';
import { encodeTail } from './tail-encoder.ts';

/** Runs `encoder.h` outside of QEMU: words of 64 bits in, ends of blocks, bytes of trace, and the encoder out. */
const harness = `
#include <stdio.h>
#include "encoder.h"
static uint64_t word(void) { uint64_t value = 0; if (fread(&value, 8, 1, stdin) != 1) exit(1); return value; }
static void give(uint64_t value) { fwrite(&value, 8, 1, stdout); }
int main(void) {
  static uint8_t bytes[1 << 22], code[65536];
  static uint32_t ids[1 << 16];
  is_i386 = word(); is_compressed = word(); most_blocks = word();
  uint64_t count = word();
  for (uint64_t i = 0; i < count; i++) {
    struct block *block = new_block();
    *block = (struct block){.start = word(), .next = NO_BLOCK, .taken = NO_BLOCK};
    uint64_t instructions = word(), size = 0;
    int64_t relative = 0;
    for (uint64_t n = 0; n < instructions; n++) {
      uint64_t length = word();
      if (length > 0 && fread(code, length, 1, stdin) != 1) return 1;
      block->last = block->start + size;
      if (block->kind == END_NONE) block->kind = end_of(code, length, size, &relative);
      size += length;
    }
    block->end = block->start + size;
    block->target = block->start + relative;
    if (is_i386) block->target = (uint32_t)block->target;
    block_count++;
    give(block->kind); give(block->target);
  }
  for (uint64_t left = word(); left > 0; left--) add_handler(word());
  struct encoder e;
  begin_trace(&e);
  for (uint64_t pieces = word(); pieces > 0; pieces--) {
    uint64_t n = word();
    for (uint64_t i = 0; i < n; i++) ids[i] = word();
    packets = bytes; interrupts = 0;
    encode(&e, ids, n);
    give(packets - bytes); give(interrupts); give(sizeof e);
    fwrite(bytes, packets - bytes, 1, stdout);
    fwrite(&e, sizeof e, 1, stdout);
  }
  packets = bytes;
  end_trace(&e);
  give(packets - bytes);
  fwrite(bytes, packets - bytes, 1, stdout);
}
`;

let folder = '';
let program = '';
const canCompile = hasTool('cc');
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wayward-encoder-'));
  program = join(folder, 'encoder');
  if (!canCompile) return;
  const source = join(folder, 'harness.c');
  writeFileSync(source, harness);
  const include = fileURLToPath(new URL('.', import.meta.url));
  const checks = ['-fsanitize=undefined', '-fno-sanitize-recover=undefined'];
  execFileSync('cc', ['-O1', ...checks, '-I', include, '-o', program, source]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A translation block, by instructions. */
interface Block {
  readonly start: number;
  readonly code: readonly Uint8Array[];
}

interface Job {
  readonly bitness: 32 | 64;
  readonly compressReturns: boolean;
  readonly limit: number;
  readonly blocks: readonly Block[];
  readonly handlers: readonly number[];
  readonly pieces: readonly (readonly number[])[];
}

interface Piece {
  readonly bytes: Buffer;
  readonly interrupts: number;
  /** `struct encoder` behind it. */
  readonly state: Buffer;
}

function runInC(job: Job): { ends: [number, number][]; pieces: Piece[]; end: Buffer } {
  const words = (...values: readonly number[]): Buffer =>
    Buffer.from(BigUint64Array.from(values, (value) => BigInt.asUintN(64, BigInt(value))).buffer);
  const input = Buffer.concat([
    words(job.bitness === 32 ? 1 : 0, job.compressReturns ? 1 : 0, job.limit, job.blocks.length),
    ...job.blocks.flatMap(({ start, code }) => [
      words(start, code.length),
      ...code.flatMap((bytes) => [words(bytes.length), bytes]),
    ]),
    words(job.handlers.length, ...job.handlers, job.pieces.length),
    ...job.pieces.map((ids) => words(ids.length, ...ids)),
  ]);
  const output = execFileSync(program, { input, maxBuffer: 1 << 28 });
  let at = 0;
  const word = (): number => {
    at += 8;
    return Number(output.readBigUInt64LE(at - 8));
  };
  const take = (length: number): Buffer => {
    at += length;
    return output.subarray(at - length, at);
  };
  const ends = job.blocks.map((): [number, number] => [word(), word()]);
  const pieces = job.pieces.map((): Piece => {
    const [length, interrupts, size] = [word(), word(), word()];
    return { bytes: take(length), interrupts, state: take(size) };
  });
  return { ends, pieces, end: take(word()) };
}

function tableOf({ bitness, blocks }: Job): TranslationTable {
  const table = new TranslationTable(bitness);
  for (const [id, { start, code }] of blocks.entries()) {
    const bytes = Buffer.concat(code);
    table.add(id, start, start + bytes.length - (code.at(-1)?.length ?? 0), bytes);
  }
  return table;
}

/** The first instruction of some bytes. */
function instructionOf(bytes: Uint8Array, bitness: 32 | 64): Uint8Array | undefined {
  const decoder = new Decoder(bitness, bytes, DecoderOptions.None);
  const instruction = decoder.decode();
  const { length } = instruction;
  const isOne = decoder.lastError === DecoderError.None;
  instruction.free();
  decoder.free();
  return isOne ? bytes.slice(0, length) : undefined;
}

/** ERETS, ERETU, UIRET, which QEMU does not have. */
function isNewReturn(code: Uint8Array): boolean {
  return /f[23]0f01(ca|ec)$/.test(Buffer.from(code).toString('hex'));
}

describe.skipIf(!canCompile)("the plugin's encoder", () => {
  test.each([64, 32] as const)(
    'sees ends of blocks as the block reader does, %i bits',
    (bitness) => {
      const random = new Random(7);
      const start = bitness === 64 ? 0x40_0010_0000 : 0x10_0000;
      const blocks: Block[] = [];
      const prefixes = [[], [0x66], [0xf2], [0xf3], [0x2e], [0x67], [0x48], [0x66, 0x48], [0x3e]];
      const all = Array.from({ length: 256 }, (_, i) => i);
      const opcodes = [
        ...all.flatMap((byte) => [[byte], [0x0f, byte], [byte], [0x0f, byte]]),
        // What they are is said by the byte behind.
        ...all.flatMap((byte) => [
          [0x0f, 0x01, byte],
          [0x0f, 0x00, byte],
          [0xff, byte],
          [0xc7, byte],
        ]),
      ];
      for (const prefix of prefixes) {
        for (const opcode of opcodes) {
          const rest = Array.from({ length: 12 }, () => random.below(256));
          const code = instructionOf(Uint8Array.from([...prefix, ...opcode, ...rest]), bitness);
          const nops = Array.from({ length: random.below(3) }, () => Uint8Array.of(0x90));
          if (code === undefined || isNewReturn(code)) continue;
          blocks.push({ start, code: [...nops, code] });
          // One that goes on on another page.
          const cut = code.subarray(0, 1 + random.below(code.length));
          blocks.push({ start, code: [...nops, cut] });
        }
      }
      const job: Job = {
        ...{ bitness, compressReturns: true, limit: 0, blocks, handlers: [], pieces: [] },
      };
      const { kind, target } = tableOf(job);
      const { ends } = runInC(job);
      const isDirect = (id: number): boolean => [1, 2, 4].includes(kind[id]);
      const wrong = ends.flatMap(([found, to], id) =>
        found === kind[id] && (!isDirect(id) || to === target[id])
          ? []
          : [
              `${Buffer.concat(blocks[id].code).toString('hex')}: ${found} ${to}, ${kind[id]} ${target[id]}`,
            ],
      );
      expect(blocks.length).toBeGreaterThan(8_000);
      expect(wrong).toEqual([]);
    },
  );

  test.each([
    ['64 bits', 64, true, Number.MAX_SAFE_INTEGER],
    ['64 bits, whole returns', 64, false, Number.MAX_SAFE_INTEGER],
    ['32 bits', 32, true, Number.MAX_SAFE_INTEGER],
    ['up to a limit', 64, true, 3000],
  ] as const)('makes the same packets, %s', (_, bitness, compressReturns, limit) => {
    for (let seed = 0; seed < 12; seed++) {
      const job = randomJob(seed, { bitness, compressReturns, limit });
      const { pieces, end } = runInC(job);
      const table = tableOf(job);
      const parts: Uint8Array[] = [];
      const packets = new PtEncoder((part) => void parts.push(part), { bitness, compressReturns });
      const encoder = new BlockEncoder(table, packets, new Set(job.handlers));
      let interrupts = 0;
      for (const [i, ids] of job.pieces.entries()) {
        encoder.add(Uint32Array.from(ids), limit);
        packets.drain();
        const made = Buffer.concat(parts.splice(0));
        expect(pieces[i].bytes.equals(made), `seed ${seed}, piece ${i}`).toBe(true);
        interrupts += pieces[i].interrupts;
      }
      expect(interrupts).toBe(encoder.interrupts);
      encoder.finish(false);
      expect(end).toEqual(Buffer.concat(parts));
      goesOnFromStates(job, pieces, end);
    }
  });

  test('goes on at no state that is none', () => {
    const job = randomJob(1, { bitness: 64, compressReturns: true, limit: 1e6 });
    const state = runInC(job).pieces[0].state;
    const recording = recordingOf(job);
    const spoiled = (at: number, value: number): boolean => {
      const bytes = Buffer.from(state);
      bytes.writeUInt32LE(value, at);
      return encodeTail(recording, tailOf(bytes, []), 0, new Uint32Array(0)) !== undefined;
    };
    expect(spoiled(12, state.readUInt32LE(12))).toBe(true);
    const words = [
      [0, 1e6],
      [4, 1e6],
      [8, 64],
      [12, 6],
      [16, 1 << 16],
      [20, 1 << 16],
    ] as const;
    const others = [
      [24, 1 << 20],
      [28, 64],
      [32, 65],
      [44, 1 << 30],
      [52, 1 << 30],
    ] as const;
    for (const [at, value] of [...words, ...others])
      expect([at, spoiled(at, value)]).toEqual([at, false]);
  });
});

/** From each state that the plugin leaves in a tail, the reader makes of the next piece what the plugin did. */
function goesOnFromStates(job: Job, pieces: readonly Piece[], end: Buffer): void {
  const recording = recordingOf(job);
  for (const [i, { state }] of pieces.entries()) {
    const ids = job.pieces[i + 1] ?? [];
    const isLast = i === pieces.length - 1;
    const made = encodeTail(
      ...([recording, tailOf(state, ids), 0, Uint32Array.from(ids)] as const),
      isLast ? { died: false } : undefined,
    );
    expect(made?.bytes).toEqual(isLast ? end : pieces[i + 1].bytes);
  }
}

function recordingOf(job: Job): Recording {
  const { bitness, compressReturns, limit: maxBlocks, handlers, blocks } = job;
  const recording = new Recording({ bitness, compressReturns, maxBlocks });
  for (const handler of handlers) recording.handlers.add(handler);
  for (const [id, { start, code }] of blocks.entries()) {
    const bytes = Buffer.concat(code);
    recording.translate(id, start, start + bytes.length - (code.at(-1)?.length ?? 0), bytes);
  }
  return recording;
}

function tailOf(state: Buffer, ids: readonly number[]): ReturnType<typeof readTail> {
  const header = Buffer.alloc(tailHeaderBytes);
  header.writeUInt32LE(ids.length, 0);
  const rest = Buffer.from(Uint32Array.from(ids).buffer);
  return readTail(Buffer.concat([header, state, state, rest]));
}

/** Blocks with all kinds of ends, and a way through them that the ends mostly allow. */
function randomJob(seed: number, options: Pick<Job, 'bitness' | 'compressReturns' | 'limit'>): Job {
  const random = new Random(seed);
  const count = 60;
  // Some lie side by side, some far away; so that addresses are compressed in all ways.
  const far = options.bitness === 64 ? 0x2_0000_0000 : 0x20_0000;
  const startOf = (id: number): number =>
    0x40_0000 + 16 * id + (id % 20 === 0 ? far : 0) + (id % 7 === 0 ? 0x2_0000 : 0);
  const blocks = Array.from({ length: count }, (_, id): Block => {
    const start = startOf(id);
    const near = startOf(random.below(count));
    const ends = [
      ...[
        [0x74, 0],
        [0xeb, 0],
        [0xe8, 0, 0, 0, 0],
        [0xe9, 0, 0, 0, 0],
        [0x0f, 0x85, 0, 0, 0, 0],
      ],
      ...[[0xc3], [0xff, 0xd0], [0xff, 0xe0], [0x0f, 0x05], [0xcd, 0x80], [0xf3, 0xa4], [0xcb]],
    ].map((bytes) => Uint8Array.from(bytes));
    const last = ends[random.below(ends.length)];
    const nops = 16 - last.length;
    const view = new DataView(last.buffer);
    const distance = near - start - 16;
    if (last.length === 2 && last[0] < 0xf0 && last[0] !== 0x0f && last[0] !== 0xcd)
      last[1] = random.below(16) * 16;
    else if (last.length >= 5 && Math.abs(distance) < 2 ** 31)
      view.setInt32(last.length - 4, distance, true);
    return { start, code: [...Array.from({ length: nops }, () => Uint8Array.of(0x90)), last] };
  });
  const job = { ...options, blocks, handlers: [startOf(3), startOf(11)], pieces: [] };
  const table = tableOf(job);
  const byStart = new Map(blocks.map(({ start }, id) => [start, id]));
  const open: number[] = [];
  let id = 0;
  const next = (): number => {
    const behind = byStart.get(table.end[id]);
    const target = byStart.get(table.target[id]);
    const ways = [behind, target, open.pop()].filter((way) => way !== undefined);
    if (behind !== undefined && random.below(3) === 0) open.push(behind);
    id =
      ways.length === 0 || random.below(12) === 0
        ? random.below(count)
        : ways[random.below(ways.length)];
    return id;
  };
  const pieces = Array.from({ length: 12 }, () => Array.from({ length: random.below(1500) }, next));
  return { ...job, pieces };
}
