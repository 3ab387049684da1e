import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { codeBase } from '../../../test/code-space.ts';
import { ip, psb, streamSpace as space, stream } from '../../../test/packet-streams.ts';
import { Random } from '../../base/random.ts';
import { ImageStore } from '../../image/image-store.ts';
import { buildAddressSpace } from '../../image/mapped-space.ts';
import { readMemoryMap } from '../../image/maps/memory-map.ts';
import { type Errata, noErrata } from '../../pt/errata.ts';
import { Transfer } from '../../x86/transfer.ts';
import type { BlockSource, TraceSummary } from '../blocks.ts';
import { CodeCache } from '../code-cache.ts';
import { ControlFlowGraph } from '../control-flow-graph.ts';
import { TraceDecoder, type TraceDecoderOptions } from '../trace-decoder.ts';
import { ParallelDecoder, type PieceSource } from './parallel-decoder.ts';
import { PieceDecoder } from './piece-decoder.ts';
import { PiecePool } from './piece-pool.ts';

/** Decoders in this thread, which answer late and in any order. */
function decodersHere(count: number, random: Random): PieceSource {
  return {
    areReady: false,
    open: (space, setup) => {
      const codeCache = new CodeCache();
      const free: Int32Array[] = [];
      const make = () => new PieceDecoder(space, codeCache, setup, free);
      let decoders = Array.from({ length: count }, make);
      const late: (() => void)[] = [];
      return {
        count,
        areReady: true,
        decode: async (index, piece) => {
          while (random.below(3) > 0 && late.length > 0) late.shift()?.();
          const found = structuredClone(decoders[index].decode(piece));
          for (let turns = random.below(4); turns > 0; turns--) await null;
          return found;
        },
        learn: (index, ids, entries) => {
          free.push(entries.fill(77));
          late.push(() => decoders[index].learn(ids));
        },
        renew: () => {
          late.length = 0;
          decoders = Array.from({ length: count }, make);
        },
        close: () => codeCache.dispose(),
      };
    },
  };
}

interface Reading {
  readonly batches: readonly unknown[];
  readonly marks: readonly unknown[];
  readonly addresses: readonly number[];
  readonly summary: TraceSummary;
}

async function readingOf(source: BlockSource, isTimed = false): Promise<Reading> {
  const batches: unknown[] = [];
  const summary = await source.run(({ entries, length, traceOffset, time }) => {
    const all = [...entries.subarray(0, length)];
    // A clock that shows what it showed ends no batch of one decoder, since it knows that.
    if (isTimed) batches.push(...all.map((entry) => ({ entry, time })));
    else batches.push({ entries: all, traceOffset, time });
  });
  const { length, offset, module, kind, size, instructions, lastInstruction } = source.blocks;
  const columns = [offset, module, kind, size, instructions, lastInstruction];
  const addresses = columns.flatMap((column) => [...column.subarray(0, length)]);
  return { batches, marks: source.marks, addresses, summary };
}

type Choices = Partial<TraceDecoderOptions>;

/** @returns how many pieces were joined; all that is read is compared with what one decoder reads */
async function compare(
  bytes: Uint8Array,
  choices: Choices,
  seed: number,
  pieceBytes: number,
): Promise<number> {
  const random = new Random(seed);
  const options = { ...choices, space, input: bytes };
  const source = decodersHere(1 + random.below(3), random);
  const parallel = new ParallelDecoder(
    { ...options, input: random.below(2) === 0 ? bytes : chunks(bytes, random) },
    source,
    { pieceBytes, soloBytes: 0 },
  );
  const expected = await readingOf(new TraceDecoder(options), choices.isTimed);
  expect(await readingOf(parallel, choices.isTimed)).toEqual(expected);
  return parallel.joined;
}

async function* chunks(bytes: Uint8Array, random: Random): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random.below(100);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

const errata: fc.Arbitrary<Errata> = fc.oneof(
  { weight: 4, arbitrary: fc.constant(noErrata) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...(Object.keys(noErrata) as (keyof Errata)[])).map((defect) => ({
      ...noErrata,
      [defect]: true,
    })),
  },
);
const choices: fc.Arbitrary<Choices> = fc.record({
  sharesProcessor: fc.boolean(),
  isTimed: fc.boolean(),
  errata,
  maxBlocks: fc.constantFrom(1 << 19, 20),
  maxMarks: fc.constantFrom(1 << 18, 3),
});

test('any stream, cut at any PSB, is read as one decoder reads it', async () => {
  let joined = 0;
  await fc.assert(
    fc.asyncProperty(stream, choices, fc.nat(), async (bytes, chosen, seed) => {
      joined += await compare(bytes, chosen, seed, 16);
    }),
    { numRuns: 500, seed: 3 },
  );
  expect(joined).toBeGreaterThan(50);
});

test('so are long walks through code, with and without calls that returns go back to across a PSB', async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Random(seed);
    const keepsCalls = seed % 3 === 0;
    const bytes = walk(random, keepsCalls);
    const chosen = { sharesProcessor: seed % 2 === 0, isTimed: seed % 5 === 0 };
    const joined = await compare(bytes, chosen, seed, 100 + random.below(2000));
    if (!keepsCalls) expect(joined, `seed ${seed}`).toBeGreaterThan(3);
  }
});

test('threads read a trace as one decoder reads it, one trace after the other', async () => {
  const pool = new PiecePool(2);
  try {
    await pool.ready();
    for (const seed of [1, 2]) {
      const options = { space, input: walk(new Random(seed), false, 100_000) };
      const parallel = new ParallelDecoder(options, pool, { pieceBytes: 5000 });
      expect(await readingOf(parallel)).toEqual(await readingOf(new TraceDecoder(options)));
      expect(parallel.joined).toBeGreaterThan(10);
    }
  } finally {
    await pool.dispose();
  }
});

const large = fileURLToPath(new URL('../../../../shared/data/pt-bench/py-noretc', import.meta.url));

test.skipIf(!existsSync(large))('threads read 20 MB of python as one decoder does', async () => {
  const map = await readMemoryMap(join(large, 'trace/mapping.txt'));
  const python = await buildAddressSpace(map, new ImageStore([join(large, 'bin')]));
  const options = {
    space: python,
    input: gunzipSync(readFileSync(join(large, 'trace/trace_0.gz'))),
    codeCache: new CodeCache(),
  };
  const pool = new PiecePool(2);
  const hashOf = async (source: BlockSource): Promise<unknown[]> => {
    const hash = createHash('sha1');
    const summary = await source.run(({ entries, length }) =>
      hash.update(new Uint8Array(entries.buffer, entries.byteOffset, 4 * length)),
    );
    const { length, offset } = source.blocks;
    return [summary, source.marks, offset.slice(0, length), hash.digest('hex')];
  };
  try {
    await pool.ready();
    const parallel = new ParallelDecoder(options, pool);
    expect(await hashOf(parallel)).toEqual(await hashOf(new TraceDecoder(options)));
    expect(parallel.joined).toBeGreaterThan(20);
  } finally {
    options.codeCache.dispose();
    await pool.dispose();
  }
});

test('code that was not shared is left to the decoder that has it', async () => {
  const pool = new PiecePool(1);
  const input = walk(new Random(4), false);
  const sections = space.sections.map((section) => ({ ...section, isExecutable: false }));
  try {
    await pool.ready();
    const options = { space: { ...space, sections }, input };
    const parallel = new ParallelDecoder(options, pool, { pieceBytes: 500 });
    expect(await readingOf(parallel)).toEqual(await readingOf(new TraceDecoder(options)));
    expect(parallel.joined).toBe(0);
  } finally {
    await pool.dispose();
  }
});

test('reading that is aborted leaves the threads to the next trace', async () => {
  const pool = new PiecePool(2);
  const input = walk(new Random(5), false, 50_000);
  try {
    await pool.ready();
    const abort = new AbortController();
    const stopped = new ParallelDecoder({ space, input }, pool, { pieceBytes: 2000 });
    const reading = stopped.run(() => abort.abort(new Error('enough')), { signal: abort.signal });
    await expect(reading).rejects.toThrow('enough');
    const next = new ParallelDecoder({ space, input }, pool, { pieceBytes: 2000 });
    expect(await readingOf(next)).toEqual(await readingOf(new TraceDecoder({ space, input })));
    expect(next.joined).toBeGreaterThan(10);
  } finally {
    await pool.dispose();
  }
});

/**
 * A processor that runs the code at random, with a PSB now and then, and packets that tell the time.
 *
 * @param keepsCalls  compress returns to calls from before a PSB, which no processor does
 */
function walk(random: Random, keepsCalls: boolean, length = 12_000): Uint8Array {
  const codeCache = new CodeCache();
  const graph = new ControlFlowGraph(space, codeCache);
  const bytes: number[] = [];
  let outcomes = 1;
  let calls: number[] = [];
  let time = 1000;
  const flush = (): void => {
    if (outcomes > 1) bytes.push(outcomes << 1);
    outcomes = 1;
  };
  const decide = (taken: number): void => {
    outcomes = (outcomes << 1) | taken;
    if (outcomes >= 64) flush();
  };
  const moveTo = (address: number): void => {
    flush();
    bytes.push(...ip(0x0d, address - codeBase, 1 + random.below(3)));
  };
  const synchronize = (address: number, isFirst: boolean): void => {
    flush();
    time += random.below(300);
    const stamp = [time & 255, time >> 8, 0, 0, 0, 0, 0];
    bytes.push(...psb, 0x19, ...stamp, 0x99, 1);
    if (!isFirst) bytes.push(...ip(0x1d, address - codeBase, 3));
    bytes.push(0x02, 0x23);
    if (isFirst) bytes.push(...ip(0x11, address - codeBase, 3));
    if (!keepsCalls) calls = [];
  };
  const places = Array.from({ length: 40 }, (_, i) =>
    graph.nodeAt(codeBase + (i < 30 ? i : i * 7), 64),
  );
  const alive = places.filter((node) => graph.kind[node] !== Transfer.none);
  const anywhere = (): number => graph.address[alive[random.below(alive.length)]];
  /** Where an instruction of a block begins; mostly the first. */
  const within = (node: number): number => {
    const at = graph.address[node] + random.below(graph.lastInstruction[node] + 1);
    return graph.startsAt(node, at) ? at : graph.address[node];
  };
  let at = graph.nodeAt(codeBase, 64);
  synchronize(codeBase, true);
  // Few ways through the code, so that stretches come again.
  let way = 0;
  while (bytes.length < length) {
    if (random.below(60) === 0) synchronize(within(at), false);
    if (random.below(90) === 0) {
      // An interrupt, an overflow, or a packet that is no such.
      const kind = random.below(8);
      const to = anywhere();
      flush();
      if (kind === 0) {
        bytes.push(0x02, 0xf3, ...ip(0x1d, to - codeBase, 3));
        calls = [];
      } else if (kind === 1 && keepsCalls) {
        bytes.push(0xff, 0x04, ...ip(0x1d, to - codeBase, 3));
      } else {
        const from = within(at);
        bytes.push(...ip(0x1d, from - codeBase, 2), ...ip(0x0d, to - codeBase, 3));
      }
      at = graph.nodeAt(to, 64);
    }
    if (random.below(40) === 0) {
      flush();
      time += 3;
      bytes.push(0x59, time & 255);
    }
    way = random.below(20) === 0 ? random.below(1 << 16) : (way * 5 + 1) & 0xffff;
    const kind = graph.kind[at];
    if (kind === Transfer.jmp) {
      at = graph.targetOf(at);
    } else if (kind === Transfer.call) {
      // A call to the next instruction is none that anything returns from.
      if (graph.targetOf(at) !== graph.nextOf(at)) calls.push(at);
      if (calls.length > 64) calls.shift();
      at = graph.targetOf(at);
    } else if (kind === Transfer.jcc) {
      const taken = (way >> 4) & 1;
      decide(taken);
      at = taken === 1 ? graph.targetOf(at) : graph.nextOf(at);
    } else if (kind === Transfer.ret && calls.length > 0 && (way & 7) !== 0) {
      decide(1);
      at = graph.nextOf(calls.pop() ?? 0);
    } else if (kind === Transfer.none) {
      synchronize(codeBase, false);
      at = graph.nodeAt(codeBase, 64);
    } else {
      if (kind === Transfer.icall) {
        calls.push(at);
        if (calls.length > 64) calls.shift();
      }
      const to = anywhere();
      moveTo(to);
      at = graph.nodeAt(to, 64);
    }
  }
  flush();
  codeCache.dispose();
  return Uint8Array.from(bytes);
}
