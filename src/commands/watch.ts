import { createHash } from 'node:crypto';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { makeFolder } from '../base/files.ts';
import type { RunContext } from '../model/first-layer.ts';
import { calibrates } from '../verdict/classify-nominal.ts';
import { checkCalibrationSize } from '../verdict/conformal.ts';
import { readFeaturesOf } from '../verdict/stored-features.ts';
import type { Outcome } from '../workers/job.ts';
import type { Scheduler } from '../workers/scheduler.ts';

import { findEvaluations } from './run/path.ts';
import { VerdictJournal } from './run/verdict-journal.ts';
import type { SampleSource } from './samples/source.ts';
import { verdictRow } from './samples/verdict-row.ts';
import { SampleWatcher } from './samples/watcher.ts';
import { type EvaluatedSample, type EvaluateSetup, evaluateJob } from './tasks/evaluate.ts';
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

/** Samples that are on their way at once, for each job that is done at the same time. */
const aheadPerSlot = 4;

/**
 * Scores samples as they appear in a folder, until it is told to stop. Each sample has one line,
 * which is in the journal before it is shown; after a restart, those that have one are passed over.
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
  await makeFolder(home);
  const journal = await VerdictJournal.open(home, lastShown);
  let judged = 0;
  try {
    const tell = (line: string): void => {
      show(line);
      journal.markShown(line);
    };
    for (const line of journal.unseen) tell(line);
    const setup: EvaluateSetup = {
      ...{ run: resolve(options.run), model: judge.model, out: join(home, 'evaluation') },
      ...{ binDirs: options.binDirs.map((path) => resolve(path)), rawImages: options.rawImages },
      ...{ source: options.source, process: options.process, cpu: options.cpu },
      preprocessed: options.preprocessed,
      ...{ format: 'eval', device: options.device, timeout: options.timeout },
    };
    const { folder, settleSeconds } = options;
    const watcher = new SampleWatcher(folder, options, settleSeconds, journal.names);
    const waiting: string[] = [];
    const underWay = new Set<Promise<void>>();
    let failure: unknown;
    /** Lines are written one after the other. */
    let writing: Promise<void> = Promise.resolve();
    const write = (directory: string, facts: Readonly<Record<string, unknown>>): Promise<void> => {
      writing = writing.then(async () => {
        tell(await journal.add(basename(directory), { directory, ...facts }));
        judged++;
      });
      return writing;
    };
    const start = (directory: string): void => {
      const work = scheduler
        .submit(evaluateJob(directory, 'test', setup))
        .then(async (outcome) => {
          // What broke off because we stop is no verdict, and no failure of the sample.
          if (outcome.status === 'failed' && context.signal?.aborted === true) return;
          await write(directory, await judge.factsOf(outcome, setup.out));
        })
        .catch((error: unknown) => {
          failure ??= error;
        })
        .finally(() => underWay.delete(work));
      underWay.add(work);
    };
    const isStopped = (): boolean => context.signal?.aborted === true || failure !== undefined;
    while (!isStopped()) {
      waiting.push(...(await watcher.look()));
      while (waiting.length > 0 && underWay.size < aheadPerSlot * scheduler.width) {
        start(waiting.shift() ?? '');
      }
      await rest(Math.min(1000, Math.max(50, settleSeconds * 500)), context.signal);
    }
    // Those under way are neither shown nor lost: they are scored after the restart.
    await Promise.allSettled([...underWay, writing]);
    if (failure !== undefined && context.signal?.aborted !== true) throw failure;
  } finally {
    await journal.close();
  }
  return { judged };
}

interface Judge {
  /** Identity of the run's model. */
  readonly model: string;
  /** What is told of a sample. */
  factsOf(outcome: Outcome, out: string): Promise<Readonly<Record<string, unknown>>>;
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
      const unscored = (error: string): Readonly<Record<string, unknown>> => ({
        verdict: null,
        error,
      });
      if (outcome.status === 'failed') return unscored(outcome.reason);
      const value = outcome.value as EvaluatedSample;
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

function rest(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((done) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      done();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener('abort', end);
    if (signal?.aborted) end();
  });
}
