import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { writeTinyCorpus } from '../../../../test/tiny-corpus.ts';
import { silentLogger } from '../../../base/log.ts';
import { CodeCache } from '../../../flow/code-cache.ts';
import { ImageStore } from '../../../image/image-store.ts';
import { defaultFilter, filterTable } from '../../../sequences/filter.ts';
import { openTraces } from '../../../trace/open-trace.ts';
import { findSamples, type Sample } from '../../../trace/sample.ts';
import { ImageNotes } from '../../samples/evaluating/image-notes.ts';
import { type CountOptions, countTrainingWindows, type TrainingCorpus } from './count-windows.ts';

const root = writeTinyCorpus(7, 0);
afterAll(() => rmSync(root, { recursive: true, force: true }));
// Cut off in the middle: it must leave nothing behind.
const cut = join(root, 'b003', 'trace_parsed.gz');
const whole = readFileSync(cut);
writeFileSync(cut, whole.subarray(0, whole.length >> 1));

const quiet = { log: silentLogger, progress: () => {} };
const options: CountOptions = {
  binDirs: [],
  rawImages: false,
  preprocessed: true,
  windowLength: 5,
  filter: filterTable(defaultFilter),
  threads: 1,
  memoryLimit: 2 ** 28,
  mostWindows: 1e9,
  spillDirectory: join(root, 'windows'),
  notes: new ImageNotes(false),
};

/** All that was learned, as plain values. */
function contentOf(corpus: TrainingCorpus): unknown {
  const windows: [string, number][] = [];
  for (const { length, symbols, targets, counts } of corpus.windows.chunks()) {
    for (let i = 0; i < length; i++) {
      windows.push([[...symbols.subarray(5 * i, 5 * i + 5), targets[i]].join(' '), counts[i]]);
    }
  }
  const { table, samples, skipped, blocks, occurrences, symbolCounts } = corpus;
  const symbols = Array.from({ length: table.length }, (_, id) => [
    table.describe(id),
    symbolCounts[id],
  ]);
  corpus.windows.dispose();
  return {
    windows,
    symbols,
    samples: samples.map(({ name }) => name),
    skipped,
    blocks,
    occurrences,
  };
}

/** By the definition, as texts. */
async function plainWindows(samples: readonly Sample[]): Promise<Map<string, number>> {
  const traces = { images: new ImageStore([]), codeCache: new CodeCache(), preprocessed: true };
  const counts = new Map<string, number>();
  for (const sample of samples) {
    const [{ source }] = await openTraces(sample, traces);
    const entries: number[] = [];
    await source.run((batch) => {
      entries.push(...batch.entries.subarray(0, batch.length));
    });
    for (let end = 5; end < entries.length; end++) {
      if (options.filter[source.blocks.kind[entries[end - 1]]] !== 1) continue;
      const offsets = entries.slice(end - 5, end + 1).map((block) => source.blocks.offset[block]);
      counts.set(offsets.join(' '), (counts.get(offsets.join(' ')) ?? 0) + 1);
    }
  }
  return counts;
}

describe('counting the windows of training traces', () => {
  test('gives the same with any number of threads and any limit of memory', async () => {
    const { samples } = await findSamples(root, 'preprocessed');
    const expected = contentOf(await countTrainingWindows(samples, options, quiet));
    expect(expected).toMatchObject({ samples: ['b000', 'b001', 'b002', 'b004', 'b005', 'b006'] });
    expect(expected).toMatchObject({ skipped: [{ name: 'b003' }] });
    for (const changed of [{ threads: 2 }, { threads: 3, mostWindows: 200 }, { memoryLimit: 1 }]) {
      const corpus = await countTrainingWindows(samples, { ...options, ...changed }, quiet);
      expect(corpus.windows.runs > 0).toBe(
        !('threads' in changed && Object.keys(changed).length === 1),
      );
      expect(contentOf(corpus)).toEqual(expected);
      expect(existsSync(options.spillDirectory)).toBe(false);
    }
  });

  test('counts what a plain count counts', async () => {
    const { samples } = await findSamples(root, 'preprocessed');
    const corpus = await countTrainingWindows(samples, { ...options, mostWindows: 300 }, quiet);
    const { table } = corpus;
    const counts = new Map<string, number>();
    for (const { length, symbols, targets, counts: n } of corpus.windows.chunks()) {
      for (let i = 0; i < length; i++) {
        const ids = [...symbols.subarray(5 * i, 5 * i + 5), targets[i]];
        counts.set(ids.map((id) => table.offset[id]).join(' '), n[i]);
      }
    }
    corpus.windows.dispose();
    const readable = samples.filter(({ name }) => name !== 'b003');
    expect(counts).toEqual(await plainWindows(readable));
  });

  test('stops where it is told to, and leaves nothing on disk', async () => {
    const { samples } = await findSamples(root, 'preprocessed');
    for (const threads of [1, 2]) {
      const stop = new AbortController();
      const counting = countTrainingWindows(
        samples,
        { ...options, threads, mostWindows: 10 },
        { ...quiet, signal: stop.signal, progress: () => stop.abort() },
      );
      await expect(counting).rejects.toThrow('abort');
      expect(existsSync(options.spillDirectory)).toBe(false);
    }
  });
});
