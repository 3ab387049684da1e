import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exampleProcesses } from '../../../../test/example-schedule.ts';
import { pipeOfRecording } from '../../../../test/perf-pipe.ts';
import { type Process, type ScheduleOptions, schedule } from '../../../../test/pt-schedule.ts';
import { Random } from '../../../base/random.ts';
import { ImageCollection } from '../../image-collection.ts';
import { PerfImages } from '../images.ts';
import { importPerf } from '../import.ts';
import { PipeThreads } from './threads.ts';

let folder = '';
let processes: Process[];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'wayward-pipe-'));
  processes = await exampleProcesses(['nominal-test-000', 'nominal-test-001', 'rop-006']);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The trace of each thread, as `import` makes it of the whole recording. */
async function imported(file: Buffer, name: string): Promise<ReadonlyMap<number, Buffer>> {
  const path = join(folder, `${name}.data`);
  writeFileSync(path, file);
  const { threads } = await importPerf({
    ...{ path, out: join(folder, name), name: 'sample', label: 'unknown' },
    images: new PerfImages({ binDirs: [], buildIdDir: undefined }),
    collection: new ImageCollection(join(folder, 'bin')),
  });
  return new Map(
    threads.map(({ tid, folder: sample }) => [
      tid,
      gunzipSync(readFileSync(join(sample ?? '', 'trace_0.gz'))),
    ]),
  );
}

interface Piped {
  readonly traces: ReadonlyMap<number, Buffer>;
  readonly lost: readonly string[];
  /** Bytes that were told before the pipe ended. */
  readonly early: number;
}

/** @param cut  most bytes of a piece that comes through the pipe */
function piped(pipe: Buffer, cut: number): Piped {
  const parts = new Map<number, Uint8Array[]>();
  const lost: string[] = [];
  let told = 0;
  const threads = new PipeThreads('-', {
    onTrace: ({ tid }, bytes) => {
      parts.set(tid, [...(parts.get(tid) ?? []), bytes]);
      told += bytes.length;
    },
    onLost: (what) => lost.push(what),
  });
  const random = new Random(cut);
  for (let at = 0; at < pipe.length; ) {
    const piece = 1 + random.below(cut);
    threads.add(pipe.subarray(at, at + piece));
    at += piece;
  }
  const early = told;
  expect(threads.end()).toBe(false);
  const traces = new Map([...parts].map(([tid, all]) => [tid, Buffer.concat(all)]));
  return { traces, lost, early };
}

const plain: ScheduleOptions = {
  ...{ cpus: 2, seed: 1, stamps: 'tsc', compressReturns: true, switches: 3 },
};

describe('threads in the buffers of processors, through a pipe', () => {
  test.each<Partial<ScheduleOptions>>([
    { cpus: 1, switches: 2 },
    { cpus: 3, compressReturns: false },
    { cpus: 2, stamps: 'mtc', isSystemWide: true },
    { cpus: 2, switches: 2, chunkBytes: 333 },
    { cpus: 3, overflows: 20, isSystemWide: true },
    { cpus: 2, truncations: 20 },
    { cpus: 2, tracesKernel: true, isSystemWide: true },
  ])(
    'have the traces that import makes of the recording: %o',
    async (options) => {
      const file = schedule(processes, { ...plain, ...options });
      const whole = await imported(file, JSON.stringify(options).replaceAll(/\W/g, ''));
      expect([...whole.keys()].sort()).toEqual([1000, 2000, 3000]);
      for (const [cut, rounds] of [
        [5000, 3],
        [1 << 20, 20],
        [77, 20],
      ] as const) {
        const { traces, lost, early } = piped(pipeOfRecording(file, cut, rounds), cut);
        expect(lost).toEqual([]);
        expect([...traces.keys()].sort()).toEqual([...whole.keys()].sort());
        for (const [tid, trace] of whole) {
          // A comparison of bytes that fails would print all of them.
          expect([tid, rounds, traces.get(tid)?.equals(trace)]).toEqual([tid, rounds, true]);
        }
        const all = [...whole.values()].reduce((sum, { length }) => sum + length, 0);
        if (rounds === 20) expect(early).toBeGreaterThan(0.5 * all);
      }
    },
    60_000,
  );

  test('are told and not cut where nothing says when they took turns', () => {
    const file = schedule(processes, { ...plain, stamps: 'none' });
    const { traces, lost } = piped(pipeOfRecording(file, 1, 5), 5000);
    expect(traces.size).toBe(0);
    expect(lost).toMatchObject([expect.stringContaining('without time')]);
  });

  test('end in traces or a named error, whatever the bytes are', () => {
    const pipe = pipeOfRecording(schedule(processes, { ...plain, overflows: 20 }), 2, 8);
    const random = new Random(5);
    for (let round = 0; round < 40; round++) {
      const bytes = Buffer.from(pipe.subarray(0, 1 + random.below(pipe.length)));
      for (let i = 0; i < 1 + (round % 20); i++) {
        bytes[random.below(bytes.length)] ^= 1 << random.below(8);
      }
      const threads = new PipeThreads('-', { onTrace: () => {}, onLost: () => {} });
      try {
        for (let at = 0; at < bytes.length; at += 4096) threads.add(bytes.subarray(at, at + 4096));
        threads.end();
      } catch (error) {
        expect(error).toMatchObject({ name: 'UserError' });
      }
    }
  });
});
