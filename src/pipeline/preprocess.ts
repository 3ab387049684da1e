import { basename, extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { UserError } from '../base/errors.ts';
import type { RunContext } from '../model/first-layer.ts';
import { type Sample, samplesAt } from '../trace/sample.ts';
import {
  cleanUp,
  type PreprocessedSample,
  type PreprocessSampleOptions,
} from './preprocess-sample.ts';

export interface PreprocessOptions extends PreprocessSampleOptions {
  /** Folders of samples, or of folders of samples. */
  readonly paths: readonly string[];
  readonly workers: number;
}

/**
 * Decodes the raw traces of samples in parallel and stores them. What is stored already is left
 * alone, so that an interrupted run goes on where it stopped.
 *
 * @returns one result a sample, in order; samples that fail are warned about
 * @throws UserError when there is no sample, or when interrupted
 */
export async function preprocess(
  options: PreprocessOptions,
  context: RunContext,
): Promise<readonly PreprocessedSample[]> {
  const samples: Sample[] = [];
  const results: PreprocessedSample[] = [];
  for (const path of options.paths) {
    const found = await samplesAt(path, 'raw');
    samples.push(...found.samples);
    for (const { directory, reason } of found.skipped) {
      context.log.log('warning', `left out: ${reason}`);
      const nothing = { files: [], blocks: 0, gaps: 0 };
      results.push({ name: basename(directory), outcome: 'failed', reason, ...nothing });
    }
  }
  const { paths, workers, ...each } = options;
  const byIndex: PreprocessedSample[] = [];
  let next = 0;
  let done = 0;
  const entry = new URL(`./preprocess-worker${extname(import.meta.url)}`, import.meta.url);
  const tell = (): void =>
    context.progress({ step: 'decoding', done, total: samples.length, unit: 'samples' });
  const work = async (): Promise<void> => {
    const worker = new Worker(entry);
    let current: Sample | undefined;
    const stop = (): void => void worker.terminate();
    context.signal?.addEventListener('abort', stop);
    try {
      while (next < samples.length) {
        context.signal?.throwIfAborted();
        const index = next++;
        current = samples[index];
        const result = await new Promise<PreprocessedSample>((fulfil, reject) => {
          worker.removeAllListeners();
          worker.once('message', fulfil);
          worker.once('error', reject);
          worker.once('exit', () =>
            reject(
              context.signal?.reason ??
                new UserError('worker-failed', 'a worker thread ended', { category: 'runtime' }),
            ),
          );
          worker.postMessage({ sample: current, options: each });
        });
        if (result.reason !== undefined) context.log.log('warning', `left out: ${result.reason}`);
        current = undefined;
        byIndex[index] = result;
        done++;
        tell();
      }
    } finally {
      context.signal?.removeEventListener('abort', stop);
      worker.removeAllListeners();
      await worker.terminate();
      if (current !== undefined) await cleanUp(current, options.format);
    }
  };
  // All of them, so that none still tidies up when this returns.
  const ends = await Promise.allSettled(
    Array.from({ length: Math.min(workers, samples.length) }, work),
  );
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return [...results, ...byIndex];
}
