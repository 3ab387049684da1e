import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../../base/errors.ts';
import { seal } from '../../../base/files/sealed.ts';
import { TrainingCounts } from '../../../model/histories/training-counts.ts';
import type { TransferEvents } from '../../../sequences/histories/events.ts';
import { historyLevels } from '../../../sequences/histories/levels.ts';
import { SymbolTable } from '../../../sequences/symbol-table.ts';
import { type TrainingRun, TrainingRunPacker, unpackTrainingRuns } from './training-runs.ts';

const levels = historyLevels.length;
const word = fc.string({ minLength: 1, maxLength: 6, unit: 'grapheme' });
const byte = fc.nat(6);

/** Hashes that fit together: a context has one parent, and what is longer than an unknown one is unknown. */
function hashesOf(seed: number, depth: number): number[] {
  const hashes = new Array<number>(2 * levels).fill(0);
  const known = new Set<number>();
  historyLevels.forEach(({ parent, length }, level) => {
    if ((parent >= 0 && !known.has(parent)) || length > depth) return;
    known.add(level);
    // The longer a context is, the more events have another one; those of one context share all shorter ones.
    const shorter = parent < 0 ? 1 : (hashes[2 * parent] ?? 0);
    hashes[2 * level] = Math.imul(shorter ^ (seed % (length + 2)), 0x9e3779b1);
    hashes[2 * level + 1] = (level << 16) | 1;
  });
  return hashes;
}

const event = fc.record({
  ...{ seed: fc.nat(12), depth: fc.nat(90), site: byte, target: byte },
  ...{ last: fc.integer({ min: -1, max: 3 }), repeats: fc.nat(200) },
  ...{ gap: fc.nat(5000), step: fc.nat(300), into: fc.nat(300), count: fc.integer({ min: 1 }) },
  ...{ kind: fc.nat(8), form: fc.nat(3), sort: fc.nat(3) },
});

const run: fc.Arbitrary<TrainingRun> = fc
  .record({
    name: word,
    events: fc.array(event, { maxLength: 30 }),
    modules: fc.uniqueArray(word, { minLength: 1, maxLength: 3 }),
    blocks: fc.array(fc.tuple(fc.integer({ min: -1, max: 0 }), fc.nat()), { maxLength: 20 }),
  })
  .map(({ name, events: list, modules, blocks }): TrainingRun => {
    const ints = (of: (item: (typeof list)[number]) => number): Int32Array =>
      Int32Array.from(list, of);
    const bytes = (of: (item: (typeof list)[number]) => number): Uint8Array =>
      Uint8Array.from(list, of);
    let position = 0;
    let ordinal = 0;
    const events: TransferEvents = {
      length: list.length,
      hashes: Int32Array.from(list.flatMap(({ seed, depth }) => hashesOf(seed, depth))),
      ...{ site: ints(({ site }) => site), target: ints(({ target }) => target) },
      ...{ last: ints(({ last }) => last), repeats: ints(({ repeats }) => repeats) },
      position: ints(({ gap }) => (position += gap)),
      ordinal: ints(({ step }) => (ordinal += step)),
      ...{ kind: bytes(({ kind }) => kind), form: bytes(({ form }) => form) },
      ...{ sort: bytes(({ sort }) => sort), into: ints(({ into }) => into) },
      count: Float64Array.from(list, ({ count }) => count),
      places: {
        length: 7,
        modules,
        module: Int32Array.from({ length: 7 }, (_, i) => i % modules.length),
        offset: Float64Array.from({ length: 7 }, (_, i) => 2 ** (7 * i)),
      },
      ...{ transfers: ordinal, explained: 3, blocks: position },
    };
    return {
      sample: {
        ...{ name, directory: `/runs/${name}`, file: name, label: 'nominal', family: undefined },
        role: 'training',
      },
      proofs: [
        {
          told: { kind: 'return-mismatch', position: 4, traceOffset: 17 },
          place: { kind: 'return-mismatch', site: 'a+1', target: 'b+2' },
        },
      ],
      blocks: [
        {
          ...{ modules, paths: modules.map((module) => `/lib/${module}`) },
          module: Int32Array.from(blocks, ([module]) => module),
          offset: Float64Array.from(blocks, ([, offset]) => offset),
        },
      ],
      events,
    };
  });

function pack(runs: readonly TrainingRun[]): Buffer {
  const counts = new TrainingCounts(new SymbolTable());
  const packer = new TrainingRunPacker(counts.contexts);
  for (const one of runs) packer.add(one, counts.add(one.events));
  return Buffer.from(packer.finish() ?? []);
}

/** As JSON has it: what is `undefined` is not there. */
const plain = (one: TrainingRun): unknown => ({
  ...one,
  sample: JSON.parse(JSON.stringify(one.sample)),
});

describe('training runs that are kept', () => {
  test('come back as they were', () => {
    fc.assert(
      fc.property(fc.array(run, { maxLength: 4 }), (runs) => {
        const packed = pack(runs);
        expect([...unpackTrainingRuns(packed, 'p')]).toEqual(runs.map(plain));
        const bare = runs.map((one) => ({
          ...one,
          events: { ...one.events, hashes: new Int32Array(0) },
        }));
        expect([...unpackTrainingRuns(packed, 'p', 'places')]).toEqual(bare.map(plain));
      }),
      { numRuns: 50, seed: 5 },
    );
  });

  test('are read part by part when there are many', () => {
    const [one] = fc.sample(run, { numRuns: 1, seed: 4 });
    const words = 'x'.repeat(1 << 20);
    const large = Array.from({ length: 9 }, (_, i): TrainingRun => {
      const sample = { ...one!.sample, name: `${i}`, file: words };
      return { ...one!, sample };
    });
    expect([...unpackTrainingRuns(pack(large), 'p')].map(({ sample }) => sample.name)).toEqual(
      [...large.keys()].map(String),
    );
  });

  test('are refused by name when any byte is another, or missing', () => {
    const packed = pack(fc.sample(run, { numRuns: 2, seed: 1 }));
    for (let at = 0; at < packed.length; at += 3) {
      const changed = Buffer.from(packed);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      expect(() => [...unpackTrainingRuns(changed, 'p')], `byte ${at}`).toThrow(UserError);
      expect(() => [...unpackTrainingRuns(packed.subarray(0, at), 'p')]).toThrow(UserError);
    }
  });

  test('are refused when they contradict themselves under a right checksum', async () => {
    const { zstdCompressSync, zstdDecompressSync } = await import('node:zlib');
    const packed = pack(fc.sample(run, { numRuns: 3, seed: 2 }));
    const headBytes = packed.readUInt32LE(8);
    const head = packed.subarray(12, 12 + headBytes);
    const part = zstdDecompressSync(
      packed.subarray(16 + headBytes, 16 + headBytes + packed.readUInt32LE(12 + headBytes)),
    );
    const length = (bytes: Buffer): Buffer => {
      const four = Buffer.alloc(4);
      four.writeUInt32LE(bytes.length);
      return four;
    };
    const again = (content: Buffer): Buffer => {
      const body = zstdCompressSync(content);
      return seal(packed.subarray(0, 8), length(head), head, length(body), body);
    };
    expect([...unpackTrainingRuns(again(part), 'p')]).toHaveLength(3);
    for (const facts of ['null', '{}', '{"sample":null}', '{"proofs":[null]}', '[]', '7']) {
      const said = Buffer.from([facts.length, ...Buffer.from(facts)]);
      expect(() => [...unpackTrainingRuns(again(said), 'p')], facts).toThrow(UserError);
    }
    fc.assert(
      fc.property(fc.nat(part.length - 1), fc.nat(255), (at, value) => {
        const changed = Buffer.from(part);
        changed[at] = value;
        try {
          // What still makes sense is taken.
          for (const { events } of unpackTrainingRuns(again(changed), 'p')) {
            expect(events.site.every((site) => site < events.places.length)).toBe(true);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
      { numRuns: 2000, seed: 6 },
    );
  });
});
