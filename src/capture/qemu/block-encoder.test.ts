import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../base/random.ts';
import type { BlockTable } from '../../flow/blocks.ts';
import { CodeCache } from '../../flow/code-cache.ts';
import { ControlFlowGraph } from '../../flow/control-flow-graph.ts';
import { TraceDecoder } from '../../flow/trace-decoder.ts';
import type { AddressSpace } from '../../image/address-space.ts';
import { ImageStore } from '../../image/image-store.ts';
import { buildAddressSpace } from '../../image/mapped-space.ts';
import { readMemoryMap } from '../../image/maps/memory-map.ts';
import { PtEncoder } from '../../pt/encoder.ts';
import { openTraces } from '../../trace/open-trace.ts';
import { readSample } from '../../trace/sample.ts';
import { Transfer } from '../../x86/transfer.ts';
import { BlockEncoder, TranslationTable } from './block-encoder.ts';

const corpus = fileURLToPath(new URL('../../../examples/corpus', import.meta.url));
const pdftotext = fileURLToPath(new URL('../../../../shared/data/pdftotext', import.meta.url));

const codeCache = new CodeCache();
let images: ImageStore;
let space: AddressSpace;
let graph: ControlFlowGraph;
/** Blocks of libc and the toy that walks jump to: function starts, more or less. */
let entries: number[] = [];

beforeAll(async () => {
  images = new ImageStore([join(corpus, 'bin')], { rawImages: false });
  const map = await readMemoryMap(join(corpus, 'traces', 'nominal-test-000', 'mapping.txt'));
  space = await buildAddressSpace(map, images);
  graph = new ControlFlowGraph(space, codeCache);
  entries = space.sections
    .filter(({ isExecutable }) => isExecutable)
    .flatMap(({ start, end }) => {
      const found: number[] = [];
      for (let at = start; at < end; at += 16) {
        if (space.isFunctionEntry(at) === true) found.push(graph.nodeAt(at, 64));
      }
      return found;
    })
    .filter((node) => graph.kind[node] !== Transfer.none);
});
afterAll(() => codeCache.dispose());

function addressOf(table: BlockTable, block: number): number {
  const module = table.module[block];
  return table.offset[block] + (module < 0 ? 0 : table.modules[module].base);
}

/** Encodes executed blocks, each as one piece of code. */
function encode(
  blocks: Uint32Array,
  table: BlockTable,
  code: AddressSpace,
  compressReturns: boolean,
  limit: number = Number.MAX_SAFE_INTEGER,
): { readonly trace: Uint8Array; readonly interrupts: number } {
  const translations = new TranslationTable(64);
  for (const block of new Set(blocks)) {
    const start = addressOf(table, block);
    const bytes = bytesAt(code, start, table.size[block]);
    translations.add(block, start, start + table.lastInstruction[block], bytes);
  }
  const parts: Uint8Array[] = [];
  const packets = new PtEncoder((part) => parts.push(part), { bitness: 64, compressReturns });
  const encoder = new BlockEncoder(translations, packets, new Set());
  encoder.add(blocks, limit);
  encoder.finish(false);
  return { trace: Buffer.concat(parts), interrupts: encoder.interrupts };
}

function bytesAt(code: AddressSpace, start: number, size: number): Uint8Array {
  const section = code.find(start);
  if (section === undefined) throw new Error(`no code at ${start.toString(16)}`);
  return section.bytes.subarray(start - section.start, start - section.start + size);
}

async function decode(
  trace: Uint8Array,
  code: AddressSpace,
): Promise<{ readonly addresses: number[]; readonly marks: string[] }> {
  const decoder = new TraceDecoder({ space: code, input: trace, codeCache });
  const addresses: number[] = [];
  await decoder.run((batch) => {
    for (let i = 0; i < batch.length; i++) {
      const block = batch.entries[i];
      if (block >= 0) addresses.push(addressOf(decoder.blocks, block));
    }
  });
  const marks = decoder.marks.map((mark) => (mark.kind === 'gap' ? mark.reason : mark.kind));
  return { addresses, marks };
}

/**
 * A walk that a processor could take. Returns go to their call, but for one in sixteen, which goes
 * anywhere, as after an overwritten return address. Where direct flow would reach padding or data,
 * or stay in
 * one block for ever, a signal takes it elsewhere.
 *
 * @returns what runs, and which of it a decoder tells: an interrupted block that ends in a conditional
 *   branch, or loops into itself, counts where the trace shows its last instruction and goes on
 */
function walk(
  random: Random,
  length: number,
): { readonly blocks: Uint32Array; readonly told: number[]; readonly interrupts: number } {
  const blocks = new Uint32Array(length);
  const told: number[] = [];
  const calls: number[] = [];
  let interrupts = 0;
  const anywhere = (): number => entries[random.below(entries.length)];
  const returnTo = (at: number): number => {
    calls.push(graph.nextOf(at));
    return at;
  };
  let at = anywhere();
  for (let i = 0; i < length; i++) {
    blocks[i] = at;
    const kind = graph.kind[at];
    let next: number;
    if (kind === Transfer.jcc) {
      next = random.below(2) === 0 ? graph.targetOf(at) : graph.nextOf(at);
    } else if (kind === Transfer.jmp) next = graph.targetOf(at);
    else if (kind === Transfer.call) next = graph.targetOf(returnTo(at));
    else if (kind === Transfer.icall || kind === Transfer.ijmp) {
      if (kind === Transfer.icall) returnTo(at);
      next = anywhere();
    } else if (kind === Transfer.ret) {
      next = random.below(16) === 0 ? anywhere() : (calls.pop() ?? anywhere());
    } else next = graph.nextOf(at);
    let isTold = true;
    const isDirect = kind === Transfer.jmp || kind === Transfer.call;
    const into = graph.address[next] - graph.address[at];
    const isLoop = isDirect && into >= 0 && into < graph.size[at];
    if (graph.kind[next] === Transfer.none || isLoop) {
      next = anywhere();
      if (i + 1 === length) isTold = !isLoop;
      else if (kind === Transfer.jcc || isDirect) {
        interrupts++;
        isTold = (isDirect && !isLoop) || graph.lastInstruction[at] > 0;
      }
    }
    if (isTold) told.push(graph.address[at]);
    at = next;
  }
  return { blocks, told, interrupts };
}

describe('encoding and decoding', () => {
  it('gives back random walks through real code, block by block', async () => {
    expect(entries.length).toBeGreaterThan(1000);
    let returns = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 2 ** 31 - 1 }),
        fc.integer({ min: 1, max: 20_000 }),
        fc.boolean(),
        async (seed, length, compressReturns) => {
          const { blocks, told, interrupts } = walk(new Random(seed), length);
          returns += blocks.reduce((sum, at) => sum + (graph.kind[at] === Transfer.ret ? 1 : 0), 0);
          const encoded = encode(blocks, graph, space, compressReturns);
          const { addresses, marks } = await decode(encoded.trace, space);
          expect(addresses).toEqual(told);
          expect(encoded.interrupts).toBe(interrupts);
          expect(marks).toEqual(Array.from({ length: interrupts }, () => 'async'));
        },
      ),
      { seed: 1, numRuns: 60 },
    );
    expect(returns).toBeGreaterThan(1000);
  });

  it('ends at a limit as if the run had ended there', async () => {
    const { blocks } = walk(new Random(3), 2000);
    for (let limit = 1; limit < 300; limit++) {
      const whole = encode(blocks, graph, space, true, limit);
      const cut = encode(blocks.subarray(0, limit), graph, space, true);
      expect(whole.trace).toEqual(cut.trace);
    }
  });

  const runs: readonly (readonly [string, string, boolean])[] = [
    [corpus, 'nominal-test-000', false],
    [corpus, 'rop-006', true],
    [corpus, 'jop-022', true],
    [pdftotext, 'nom000', true],
  ];
  it.each(runs.filter(([root]) => root === corpus || existsSync(root)))(
    'gives back a recorded run: %s %s, return compression %s',
    async (root, name, on) => {
      const store = new ImageStore([join(root, 'bin')], { rawImages: false });
      const sample = await readSample(join(root, 'traces', name));
      const [opened] = await openTraces(sample, { images: store, codeCache, preprocessed: false });
      const ids: number[] = [];
      await opened.source.run(({ entries: batch, length }) => {
        for (let i = 0; i < length; i++) if (batch[i] >= 0) ids.push(batch[i]);
      });
      expect(opened.source.marks).toEqual([]);
      const table = opened.source.blocks;
      const code = opened.space as AddressSpace;
      const { trace } = encode(Uint32Array.from(ids), table, code, on);
      const { addresses, marks } = await decode(trace, code);
      expect(marks).toEqual([]);
      expect(addresses.length).toBe(ids.length);
      expect(addresses.findIndex((address, i) => address !== addressOf(table, ids[i]))).toBe(-1);
    },
  );
});

describe('steps that were made before', () => {
  const nop = 0x90;
  /** Blocks of two bytes at eight places: going on, branching back, jumping, calling, returning. */
  const pieces = [
    [nop, nop],
    [0x74, 0xfc],
    [0xeb, 0xfa],
    [0xe8, 0, 0, 0, 0],
    [0xe8, 0xf5, 0xff, 0xff, 0xff],
    [0xc3],
    [0xff, 0xe0],
    [0xff, 0xd0],
    [0x0f, 0x05],
  ];
  const block = fc.record({ place: fc.nat(7), piece: fc.nat(pieces.length - 1) });

  it('give the packets that addresses give, also where code was translated again', () => {
    fc.assert(
      fc.property(
        fc.array(block, { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 400 }),
        fc.nat(300),
        fc.boolean(),
        (blocks, walk, limit, died) => {
          const table = new TranslationTable(64);
          for (const [id, { place, piece }] of blocks.entries()) {
            const bytes = Uint8Array.from(pieces[piece]);
            const start = 0x400000 + 2 * place;
            table.add(id, start, start + (piece === 0 ? 1 : 0), bytes);
          }
          const ids = Uint32Array.from(walk, (step) => step % blocks.length);
          const handlers = new Set([0x400006]);
          const [fast, plain] = [false, true].map((forgets) => {
            const parts: Uint8Array[] = [];
            const packets = new PtEncoder((part) => parts.push(part), {
              ...{ bitness: 64, compressReturns: true },
            });
            const seen: number[] = [];
            const encoder = new BlockEncoder(table, packets, handlers, (at) => seen.push(at));
            const piece = forgets ? 1 : 100;
            for (let at = 0; at < ids.length; at += piece) {
              if (forgets) for (const seenNext of [table.next, table.taken]) seenNext.fill(-1);
              encoder.add(ids.subarray(at, at + piece), limit);
            }
            encoder.finish(died);
            const { blocks, interrupts } = encoder;
            return { trace: Buffer.concat(parts).toString('hex'), seen, blocks, interrupts };
          });
          expect(fast).toEqual(plain);
        },
      ),
      {
        ...{ numRuns: 2000, seed: 2 },
        // What comes after the limit ran on from there, but for the step that was left out.
        examples: [
          [
            [
              { place: 4, piece: 0 },
              { place: 5, piece: 0 },
            ],
            [0, 0, 1],
            1,
            true,
          ],
        ],
      },
    );
  });
});
