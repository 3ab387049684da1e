import { basename } from 'node:path';
import { appendAll } from '../base/append.ts';
import type { RunContext } from '../model/first-layer.ts';
import { type Sample, samplesAt } from '../trace/sample.ts';
import type { Job, Outcome } from '../workers/job.ts';
import { outcomesOf, type Scheduler } from '../workers/scheduler.ts';
import { ImageNotes } from './samples/evaluating/image-notes.ts';
import { layoutOf } from './samples/layout.ts';
import {
  cleanUp,
  nothingOf,
  type PreprocessedSample,
  type PreprocessSampleOptions,
} from './samples/preprocess.ts';
import { openLocal } from './tasks/open-scheduler.ts';
import { preprocessJob, preprocessTask } from './tasks/preprocess.ts';

export interface PreprocessOptions extends PreprocessSampleOptions {
  /** Folders of samples, folders of such folders, or roots with `traces`. */
  readonly paths: readonly string[];
  readonly workers: number;
}

/**
 * Decodes the raw traces of samples in parallel and stores them. What is stored already is left
 * alone, so that an interrupted run goes on where it stopped.
 *
 * @param open  who does it; without it, `workers` processes of this machine
 * @returns one result a sample, in order; samples that fail are warned about
 * @throws UserError when there is no sample, or when interrupted
 */
export async function preprocess(
  options: PreprocessOptions,
  context: RunContext,
  open?: (context: RunContext) => Promise<Scheduler>,
): Promise<readonly PreprocessedSample[]> {
  const samples: Sample[] = [];
  const jobs: Job[] = [];
  const results: PreprocessedSample[] = [];
  for (const path of options.paths) {
    const layout = layoutOf(path, options.binDirs);
    const found = await samplesAt(layout.samples, 'raw');
    appendAll(samples, found.samples);
    const each = { ...options, binDirs: layout.binDirs };
    for (const { directory } of found.samples) jobs.push(preprocessJob(directory, each));
    for (const { directory, reason } of found.skipped) {
      context.log.log('warning', `left out: ${reason}`);
      results.push({ ...nothingOf(basename(directory)), outcome: 'failed', reason });
    }
  }
  const { workers } = options;
  const local = (): Scheduler => openLocal(Math.max(1, Math.min(workers, samples.length)), context);
  const scheduler = await (open?.(context) ?? local());
  const byIndex: PreprocessedSample[] = [];
  const notes = new ImageNotes(options.rawImages);
  let done = 0;
  const tell = (): void =>
    context.progress({ step: 'decoding', done, total: samples.length, unit: 'samples' });
  try {
    for await (const [index, outcome] of outcomesOf(scheduler, jobs)) {
      const result = resultOf(samples[index], outcome);
      if (result.reason !== undefined) context.log.log('warning', `left out: ${result.reason}`);
      notes.tell(result, context.log);
      byIndex[index] = result;
      done++;
      tell();
    }
  } finally {
    await scheduler.close();
    // Processes that had to be killed left something; jobs start in order.
    const started = open === undefined ? samples.slice(0, done + scheduler.width) : [];
    for (const [index, sample] of started.entries()) {
      if (byIndex[index] === undefined) await cleanUp(sample, options.format);
    }
  }
  return [...results, ...byIndex];
}

function resultOf(sample: Sample, outcome: Outcome): PreprocessedSample {
  if (outcome.status === 'done') return preprocessTask.resultOf(outcome);
  const reason = `${sample.directory}: ${outcome.reason}`;
  return { ...nothingOf(sample.name), outcome: 'failed', reason };
}
