import { basename } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { statusOf } from '../../base/files/exists.ts';
import { readSample } from '../../trace/sample.ts';
import type { Job } from '../../workers/job.ts';
import { flag, listOf, number, oneOf, optional, path, record, text } from '../../workers/schema.ts';
import {
  Decoding,
  nothingOf,
  type PreprocessedSample,
  type PreprocessSampleOptions,
  preprocessSample,
} from '../samples/preprocess.ts';
import { defineTask, type Task, type TaskContext } from './task.ts';

interface Options extends PreprocessSampleOptions {
  /** Folder of the sample. */
  readonly sample: string;
}

const read = record({
  sample: path,
  binDirs: listOf(path, 100),
  rawImages: flag,
  process: optional(text(200)),
  cpu: optional(text(20)),
  format: oneOf('wayward', 'ancestor'),
  force: flag,
  timeout: optional(number(0, 1e6)),
  partial: flag,
});

/** Stores the decoded trace of one sample beside it. */
export const preprocessTask: Task<PreprocessedSample> = defineTask<Options, PreprocessedSample>({
  read,
  folders: ({ sample, binDirs }) => ({ read: [sample, ...binDirs], write: [sample] }),
  run,
});

export function preprocessJob(sample: string, options: PreprocessSampleOptions): Job {
  const { binDirs, rawImages, process, cpu, format, force, timeout, partial } = options;
  return {
    task: 'preprocess',
    options: { sample, binDirs, rawImages, process, cpu, format, force, timeout, partial },
  };
}

async function run(
  { sample, ...options }: Options,
  { signal }: TaskContext,
): Promise<PreprocessedSample> {
  try {
    const found = await readSample(sample, 'raw');
    return await preprocessSample(found, options, decodingFor(options), signal);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { ...nothingOf(basename(sample)), outcome: 'failed', reason: error.message };
  }
}

/** Kept from job to job: most jobs of a run use the same images. */
let kept: { readonly key: string; readonly decoding: Decoding } | undefined;

function decodingFor(options: PreprocessSampleOptions): Decoding {
  const key = JSON.stringify([options.rawImages, options.binDirs.map(folderState)]);
  if (kept?.key !== key) {
    kept?.decoding.dispose();
    kept = { key, decoding: new Decoding(options) };
  }
  return kept.decoding;
}

/** Changes when a file is added, removed or replaced. */
export function folderState(folder: string): readonly (string | number)[] {
  return [folder, statusOf(folder)?.mtimeMs ?? 0];
}
