import { extname } from 'node:path';
import { TransferProfile } from '../../../evidence/profile.ts';
import type { RunContext } from '../../../model/first-layer.ts';
import { SpillingCounter } from '../../../sequences/spilling-counter.ts';
import { SymbolTable } from '../../../sequences/symbol-table.ts';
import type { Sample } from '../../../trace/sample.ts';
import { inThreads } from '../../../workers/ordered-threads.ts';
import type { ImageNotes } from '../../samples/evaluating/image-notes.ts';
import type { SkippedSample } from '../../samples/skipped.ts';
import { type ReaderSetup, type SampleEnd, type SamplePart, TrainingReader } from './reader.ts';

/** What training learns from, gathered over all its traces. */
export interface TrainingCorpus {
  readonly table: SymbolTable;
  /** To be disposed of. */
  readonly windows: SpillingCounter;
  readonly symbolCounts: Float64Array;
  /** Which indirect calls and jumps went where, for the second layer's evidence. */
  readonly profile: TransferProfile;
  /** Samples that were read whole. */
  readonly samples: readonly Sample[];
  readonly skipped: readonly SkippedSample[];
  readonly blocks: number;
  readonly occurrences: number;
}

export interface CountOptions extends Omit<ReaderSetup, 'partSize' | 'timeout'> {
  readonly threads: number;
  /** Bytes that counted windows may take in memory. */
  readonly memoryLimit: number;
  /** Distinct windows that may be held in memory. */
  readonly mostWindows: number;
  /** Folder for what does not fit, made when needed. */
  readonly spillDirectory: string;
  readonly notes: ImageNotes;
  /** Seconds for one sample. */
  readonly timeout?: number | undefined;
  /** Reads the samples elsewhere; without it, threads of this process do. */
  readonly elsewhere?: SampleReading | undefined;
}

/** Reads samples. @param take  gets the parts of each sample and its end, in order */
export type SampleReading = (
  samples: readonly Sample[],
  options: CountOptions,
  take: (job: number, message: SamplePart | SampleEnd) => void,
) => Promise<void>;

/** Fewer samples are read before threads have started. */
const fewSamples = 4;

/**
 * Reads traces on all threads and counts their windows. A sample that cannot be read whole adds nothing
 * and is listed. The result does not depend on the number of threads.
 */
export async function countTrainingWindows(
  samples: readonly Sample[],
  options: CountOptions,
  context: RunContext,
): Promise<TrainingCorpus> {
  const { windowLength, memoryLimit, mostWindows, notes } = options;
  const directory = options.spillDirectory;
  const table = new SymbolTable();
  const windows = new SpillingCounter({ windowLength, memoryLimit, mostWindows, directory });
  const profile = new TransferProfile();
  const read: Sample[] = [];
  const skipped: SkippedSample[] = [];
  let symbolCounts = new Float64Array(4096);
  let blocks = 0;
  let occurrences = 0;
  /** Symbol here by symbol of the sample under way. */
  let symbolOf: number[] = [];
  const stage = ({ symbols, windows: part }: SamplePart): void => {
    const modules = symbols.modules.map((name, i) =>
      table.internModule(name, symbols.paths[i], symbols.checksums[i] ?? undefined),
    );
    symbols.offset.forEach((offset, i) => {
      symbolOf.push(table.intern(modules[symbols.module[i]], offset));
    });
    windows.stage(part, Int32Array.from(symbolOf));
    for (const count of part.counts) occurrences += count;
  };
  const tell = (done: number): void =>
    context.progress({
      step: 'reading traces',
      done,
      total: samples.length,
      unit: 'traces',
      facts: { windows: windows.rows },
    });
  try {
    let before = 0;
    const reading: SampleReading =
      options.elsewhere ?? ((all, how, take) => readSamples(all, how, context, take));
    await reading(samples, options, (job, message) => {
      if ('windows' in message) {
        stage(message);
        return;
      }
      const sample = samples[job];
      if ('reason' in message) {
        context.log.log('warning', `left out: ${message.reason}`);
        skipped.push({ name: sample.name, reason: message.reason });
        windows.discard();
        occurrences = before;
      } else {
        for (const note of message.notes) notes.tell(note, context.log);
        stage(message.part);
        windows.settle();
        if (symbolCounts.length < table.length) {
          const longer = new Float64Array(table.length * 2);
          longer.set(symbolCounts);
          symbolCounts = longer;
        }
        message.symbolCounts.forEach((count, symbol) => {
          symbolCounts[symbolOf[symbol]] += count;
        });
        for (const transfers of message.transfers) profile.add(transfers);
        profile.evidence.add(message.proofs);
        blocks += message.blocks;
        read.push(sample);
      }
      before = occurrences;
      symbolOf = [];
      tell(job + 1);
    });
  } catch (error) {
    windows.dispose();
    throw error;
  }
  return { table, windows, symbolCounts, profile, samples: read, skipped, blocks, occurrences };
}

/** @param take  gets the parts of each sample and its end, in order */
async function readSamples(
  samples: readonly Sample[],
  options: CountOptions,
  { signal }: RunContext,
  take: (job: number, message: SamplePart | SampleEnd) => void,
): Promise<void> {
  const { binDirs, rawImages, preprocessed, calls, windowLength, filter, memoryLimit } = options;
  const setup: ReaderSetup = {
    ...{ binDirs, rawImages, preprocessed, cpu: options.cpu, windowLength, filter },
    ...(calls === undefined ? {} : { calls }),
    timeout: options.timeout,
    // Each thread counts one part while others are on their way.
    partSize: Math.min(options.mostWindows, memoryLimit / (6 * windowLength * 4 * options.threads)),
  };
  if (options.threads > 1 && samples.length >= fewSamples) {
    const entry = new URL(`./reader-thread${extname(import.meta.url)}`, import.meta.url);
    const messages = inThreads<Sample, SamplePart | SampleEnd>(
      entry,
      setup,
      samples,
      options.threads,
      signal,
    );
    for await (const { job, message } of messages) take(job, message);
    return;
  }
  const reader = new TrainingReader(setup);
  try {
    for (const [job, sample] of samples.entries()) {
      signal?.throwIfAborted();
      take(job, await reader.read(sample, (part) => take(job, part), signal));
    }
  } finally {
    reader.dispose();
  }
}
