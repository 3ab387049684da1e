import { basename, join } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { writeEvaluation } from '../../evaluation/file.ts';
import { writeTextEvaluation } from '../../evaluation/text.ts';
import { CodeCache } from '../../flow/code-cache.ts';
import { ImageStore } from '../../image/image-store.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { featuresToStore } from '../../verdict/features/stored-features.ts';
import type { Job } from '../../workers/job.ts';
import { flag, listOf, number, oneOf, optional, path, record, text } from '../../workers/schema.ts';
import { runFolder } from '../run/folder.ts';
import { loadTrained } from '../run/trained.ts';
import { matchEarlierBuilds } from '../samples/evaluating/earlier-builds.ts';
import { Evaluator, modelIdentity, windowLengthOf } from '../samples/evaluating/evaluate.ts';
import { ImageNotes } from '../samples/evaluating/image-notes.ts';
import {
  readingOf,
  readSourceSample,
  type SampleSource,
  sourceFilter,
  sourceNames,
} from '../samples/source.ts';
import { folderState } from './preprocess.ts';
import { defineTask, type Task, type TaskContext } from './task.ts';

/** How the traces of a run are evaluated; the same for all of them. */
export interface EvaluateSetup extends SampleSource {
  /** Folder of the run that holds the model and the vocabulary. */
  readonly run: string;
  /** Identity of both; another one is refused. */
  readonly model: string;
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  /** Seconds to read one sample; `undefined` = any. */
  readonly timeout: number | undefined;
  /** Modules of which other builds are at hand than those that were learned. */
  readonly changed?: readonly string[] | undefined;
  /** Folder for the evaluations. */
  readonly out: string;
  readonly format: 'eval' | 'text';
  /** `cpu`, `webgpu` or `cuda:N`; a worker puts its own in its place. */
  readonly device: string;
}

interface Options extends EvaluateSetup {
  /** Folder of the sample. */
  readonly sample: string;
  /** What it is called, where another one has the folder's name. */
  readonly name: string | undefined;
  /** Fingerprints of transfers that somebody found harmless. */
  readonly known: readonly string[] | undefined;
  readonly role: 'calibration' | 'test';
}

const read = record({
  run: path,
  model: text(64),
  binDirs: listOf(path, 100),
  rawImages: flag,
  timeout: optional(number(0, 1e6)),
  changed: optional(listOf(text(1000), 10_000)),
  out: path,
  format: oneOf('eval', 'text'),
  device: text(20),
  source: oneOf(...sourceNames),
  process: optional(text(200)),
  preprocessed: flag,
  cpu: optional(text(20)),
  sample: path,
  name: optional(text(1000)),
  known: optional(listOf(text(1000), 10_000)),
  role: oneOf('calibration', 'test'),
});

/** What became of one sample. */
export type EvaluatedSample =
  | { readonly status: 'evaluated'; readonly file: string }
  | { readonly status: 'unreadable'; readonly reason: string };

/** Predicts one sample with a run's model and writes its evaluation. */
export const evaluateTask: Task<EvaluatedSample> = defineTask<Options, EvaluatedSample>({
  read,
  folders: ({ run, sample, binDirs, out }) => ({
    read: [run, runFolder(run).model, sample, ...binDirs],
    write: [out],
  }),
  run: async (options, context) => evaluateSample(await evaluatorFor(options), options, context),
});

export function evaluateJob(
  sample: string,
  role: 'calibration' | 'test',
  setup: EvaluateSetup,
  more: Partial<Pick<Options, 'name' | 'known'>> = {},
): Job {
  return { task: 'evaluate', options: { ...setup, ...more, sample, role } };
}

/** Does the job with an evaluator that is at hand. @throws UserError when nothing can be written */
export async function evaluateSample(
  evaluator: Evaluator,
  { sample: directory, name, known, role, out, format, ...source }: Options,
  context: TaskContext,
): Promise<EvaluatedSample> {
  const quiet: RunContext = { ...context, progress: () => {} };
  let evaluation: Awaited<ReturnType<Evaluator['evaluate']>>;
  try {
    const found = await readSourceSample(directory, source);
    const sample = { ...found, name: name ?? found.name };
    evaluation = await evaluator.evaluate({ sample, role, known }, quiet);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { status: 'unreadable', reason: error.message };
  }
  const path =
    format === 'text'
      ? await writeTextEvaluation(out, evaluation)
      : await writeEvaluation(out, evaluation, featuresToStore(evaluation));
  return { status: 'evaluated', file: basename(path) };
}

/** Kept from job to job: loading a model takes longer than most traces. */
let kept:
  | { readonly key: string; readonly evaluator: Evaluator; dispose(): Promise<void> }
  | undefined;

async function evaluatorFor(options: Options): Promise<Evaluator> {
  const { run, model, binDirs, rawImages, source, device, timeout, changed = [] } = options;
  const key = JSON.stringify([
    ...[run, model, rawImages, source, readingOf(options), device, timeout, changed],
    ...[...binDirs, runFolder(run).model].map(folderState),
  ]);
  if (kept?.key === key) return kept.evaluator;
  await kept?.dispose();
  kept = undefined;
  // One thread: there are as many processes as cores.
  const trained = await loadTrained(run, { workers: 1, device, seed: 0 });
  const found = modelIdentity(trained);
  if (found !== model) {
    await trained.layer.dispose();
    throw new UserError('model-changed', `holds model ${found}; the job is for ${model}`, {
      category: 'input',
      path: join(run, 'model'),
    });
  }
  const codeCache = new CodeCache();
  const images = new ImageStore(binDirs, { rawImages });
  const builds = await matchEarlierBuilds(runFolder(run).model, changed, images);
  const evaluator = new Evaluator(trained, {
    windowLength: windowLengthOf(trained.layer),
    filter: sourceFilter(source, trained.filter),
    traces: {
      images,
      codeCache,
      ...readingOf(options),
    },
    notes: new ImageNotes(rawImages),
    builds,
    timeout,
  });
  const dispose = async (): Promise<void> => {
    await trained.layer.dispose();
    codeCache.dispose();
  };
  kept = { key, evaluator, dispose };
  return evaluator;
}
