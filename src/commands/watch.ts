import { createHash } from 'node:crypto';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import type { RunContext } from '../model/first-layer.ts';
import { calibrates } from '../verdict/classify-nominal.ts';
import { checkCalibrationSize } from '../verdict/conformal.ts';
import { readFeaturesOf } from '../verdict/features/stored-features.ts';
import type { Outcome } from '../workers/job.ts';
import type { Scheduler } from '../workers/scheduler.ts';

import { type VerdictFacts, watchSamples } from './judging/watch-samples.ts';
import { findEvaluations } from './run/path.ts';
import { layoutOf } from './samples/layout.ts';
import type { SampleSource } from './samples/source.ts';
import { verdictRow } from './samples/verdict-row.ts';
import { type EvaluateSetup, evaluateJob, evaluateTask } from './tasks/evaluate.ts';
import { readFeatures } from './tasks/read-features.ts';

export interface WatchOptions extends SampleSource {
  /** Folder of the run whose model predicts and whose calibration traces set the threshold. */
  readonly run: string;
  /** Folder in which samples appear. */
  readonly folder: string;
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  readonly device: string;
  readonly timeout: number | undefined;
  readonly fpr: number;
  readonly features: string;
  readonly seed: number;
  /** A sample is complete when nothing in it has changed for so many seconds. */
  readonly settleSeconds: number;
}

/** Where a watch keeps what it knows. */
export function watchFolder({ run, folder }: Pick<WatchOptions, 'run' | 'folder'>): string {
  const path = resolve(folder);
  const sum = createHash('sha256').update(path).digest('hex').slice(0, 8);
  return join(resolve(run), 'watch', `${basename(path)}-${sum}`);
}

/**
 * Scores samples as they appear in a folder with the model of a run, until it is told to stop. Each sample has one line.
 *
 * @param show  takes each line, in the order of their numbers, and has shown it when it returns
 * @param lastShown  the line that was shown last, when that can be looked up
 * @throws UserError
 */
export async function watch(
  options: WatchOptions,
  scheduler: Scheduler,
  context: RunContext,
  show: (line: string) => void,
  lastShown?: string,
): Promise<{ readonly judged: number }> {
  const judge = await makeJudge(options, context);
  const home = watchFolder(options);
  const setup: EvaluateSetup = {
    ...{ run: resolve(options.run), model: judge.model, out: join(home, 'evaluation') },
    ...{ binDirs: options.binDirs.map((path) => resolve(path)), rawImages: options.rawImages },
    ...{ source: options.source, process: options.process, cpu: options.cpu },
    preprocessed: options.preprocessed,
    ...{ format: 'eval', device: options.device, timeout: options.timeout },
  };
  const judgeOne = async (directory: string): Promise<VerdictFacts | undefined> => {
    const outcome = await scheduler.submit(evaluateJob(directory, 'test', setup));
    // What broke off because we stop is no verdict, and no failure of the sample.
    if (outcome.status === 'failed' && context.signal?.aborted === true) return undefined;
    return judge.factsOf(outcome, setup.out);
  };
  const { width } = scheduler;
  const folder = layoutOf(options.folder, options.binDirs).samples;
  return watchSamples({ ...options, folder, home, width }, judgeOne, context, show, lastShown);
}

interface Judge {
  /** Identity of the run's model. */
  readonly model: string;
  /** What is told of a sample. */
  factsOf(outcome: Outcome, out: string): Promise<VerdictFacts>;
}

async function makeJudge(options: WatchOptions, context: RunContext): Promise<Judge> {
  const path = await findEvaluations(options.run);
  const { traces } = await readFeatures(path, false, context);
  const calibration = traces.filter(calibrates);
  const { fpr, features, seed } = options;
  // Better said now than with every sample.
  checkCalibrationSize(calibration.length, fpr);
  const unit = options.source === 'trace' ? 'block' : 'call';
  return {
    model: calibration[0].model,
    factsOf: async (outcome, out) => {
      const unscored = (error: string): VerdictFacts => ({
        verdict: null,
        error,
      });
      if (outcome.status === 'failed') return unscored(outcome.reason);
      const value = evaluateTask.resultOf(outcome);
      if (value.status === 'unreadable') return unscored(value.reason);
      const entry = await readFeaturesOf(out, value.file, false);
      if ('skipped' in entry) {
        throw new UserError('evaluation-damaged', entry.skipped, {
          category: 'input',
          path: entry.path,
        });
      }
      const row = verdictRow(entry.value, calibration, { fpr, features, seed }, unit);
      return {
        ...{ verdict: row.verdict, pValue: row.pValue, score: row.score },
        ...{ file: row.file, label: row.label, family: row.family ?? null },
        ...{ mispredictionRate: row.mispredictionRate, unknownBlockRate: row.unknownBlockRate },
        ...{ blocks: row.blocks, predictions: row.predictions, gaps: row.gaps },
        ...{ evidence: row.evidenceCounts, reasons: row.reasons },
        ...{ warnings: outcome.warnings, model: entry.value.model },
      };
    },
  };
}
