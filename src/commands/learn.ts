import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { CodeCache } from '../flow/code-cache.ts';
import { ImageStore } from '../image/image-store.ts';
import type { FitScore, RunContext } from '../model/first-layer.ts';
import { tryDevices } from '../model/lstm/engine.ts';
import { scorePredictions } from '../model/score-windows.ts';
import type { Sample } from '../trace/sample.ts';
import { writeSets } from '../trace/sets-file.ts';
import type { Scheduler } from '../workers/scheduler.ts';
import {
  makeRunFolder,
  type RunFolder,
  type RunRecord,
  readRunRecord,
  runFolder,
  writeRunRecord,
} from './run/folder.ts';
import { shareModel } from './run/shared-model.ts';
import { Stopwatch } from './run/stopwatch.ts';
import { exportNetwork, saveTrained } from './run/trained.ts';
import { chooseSamples } from './samples/choose.ts';
import type { ChosenSets } from './samples/choose-sets.ts';
import { type EvaluationTask, Evaluator, modelIdentity, type Trained } from './samples/evaluate.ts';
import { ImageNotes } from './samples/image-notes.ts';
import type { SkippedSample } from './samples/skipped.ts';
import { callOptions, type SourceContext, sourceFilter } from './samples/source.ts';
import { countElsewhere } from './tasks/count-elsewhere.ts';
import type { EvaluateSetup } from './tasks/evaluate.ts';
import { evaluateSamples, openInProcess } from './tasks/evaluate-samples.ts';
import { type CountOptions, countTrainingWindows } from './training/count-windows.ts';
import { type LearnOptions, settleOptions } from './training/options.ts';
import { openStartingPoint, untrained, windowLengthOf } from './training/starting-point.ts';
import { type TrainingSummary, train, windowsFor } from './training/train.ts';

export interface LearnResult {
  readonly folder: RunFolder;
  readonly evaluation: string;
  readonly model: string;
  readonly sets: Readonly<Record<keyof ChosenSets, number>>;
  readonly training: TrainingSummary | undefined;
  /** On the windows of test traces that are nominal. */
  readonly test: FitScore | undefined;
  readonly evaluated: number;
  readonly skipped: readonly SkippedSample[];
  readonly seconds: Readonly<Record<string, number>>;
}

/**
 * Learns normal control flow from nominal traces, tests how well it predicts unseen nominal ones,
 * and writes one evaluation for each calibration and test trace.
 *
 * @param open  who reads and evaluates; without it, this process
 * @throws UserError
 */
export async function learn(
  asked: LearnOptions,
  context: RunContext,
  open?: (folder: RunFolder, context: RunContext) => Promise<Scheduler>,
): Promise<LearnResult> {
  const clock = new Stopwatch();
  const options = await settleOptions(asked);
  if (options.model === 'lstm') await tryDevices(options.device);
  // A run that was stopped in its evaluation has its model already.
  const before = await resultBefore(options);
  const start = await openStartingPoint(
    before === undefined
      ? options
      : { ...options, useModel: options.resume, useWeights: undefined },
  );
  const { samples, skipped, sets } = await chooseSamples(options, context);
  const { folder, started } = await openRun(options);
  const byDirectory = new Map(samples.map((sample) => [sample.directory, sample]));
  const pick = (directories: readonly string[]): Sample[] =>
    directories
      .map((directory) => byDirectory.get(directory))
      .filter((sample) => sample !== undefined);
  await writeSets(folder.sets, sets);
  if (options.outputSets !== undefined) await writeSets(options.outputSets, sets);
  const names = (directories: readonly string[]): string[] =>
    pick(directories).map(({ name }) => name);
  const record: RunRecord = {
    schemaVersion: 1,
    wayward: options.version,
    node: process.version,
    started,
    finished: undefined,
    // The address of a store may hold a password.
    options: { ...options, store: undefined },
    sets: {
      train: names(sets.train),
      calibrate: names(sets.calibrate),
      testNominal: names(sets.testNominal),
      testAnomalous: names(sets.testAnomalous),
    },
    result: {},
  };
  // Before the work, so that an interrupted run can be resumed from its folder alone.
  await writeRunRecord(folder, { ...record, result: { ...before } });

  const codeCache = new CodeCache();
  const traces: SourceContext = {
    images: new ImageStore(options.binDirs, { rawImages: options.rawImages }),
    codeCache,
    preprocessed: options.preprocessed,
    calls: callOptions(options),
  };
  const allSkipped = [...skipped];
  const elsewhere = await open?.(folder, context);
  let trained: Trained | undefined;
  try {
    const filter = start.kind === 'run' ? start.filter : options.filter;
    const reading = {
      windowLength: windowLengthOf(start) ?? options.windowLength,
      filter: sourceFilter(options.source, filter),
      notes: new ImageNotes(options.rawImages),
      timeout: options.timeout,
    };
    const count: CountOptions = {
      ...reading,
      binDirs: options.binDirs,
      rawImages: options.rawImages,
      preprocessed: options.preprocessed,
      calls: callOptions(options),
      threads: options.workers,
      memoryLimit: options.memoryLimit,
      mostWindows: options.queueSize,
      spillDirectory: folder.windows,
      ...(elsewhere === undefined
        ? {}
        : { elsewhere: countElsewhere(elsewhere, options, folder.counts) }),
    };
    let training: TrainingSummary | undefined;
    if (start.kind === 'run') {
      trained = start.trained;
      training = before?.training;
      allSkipped.push(...(before?.skipped ?? []));
    } else if (start.kind === 'network' && options.skipTrain) {
      trained = untrained(start.network, start.vocabulary);
    } else {
      const result = await train(start, pick(sets.train), options, count, folder, context, clock);
      trained = result.trained;
      training = result.summary;
      allSkipped.push(...result.skipped);
    }
    await saveTrained(folder, trained, filter);
    await exportNetwork(trained, options);
    if (options.store !== undefined) await shareModel(options.store, folder);
    await rm(folder.checkpoint, { force: true });

    const evaluator = new Evaluator(trained, { ...reading, traces });
    let test = before?.test;
    if (before === undefined && !options.skipTest && sets.testNominal.length > 0) {
      clock.start('testing');
      const counted = await countTrainingWindows(pick(sets.testNominal), count, context);
      const windows = windowsFor(trained.vocabulary, counted);
      test = scorePredictions(windows, await evaluator.predictions.predict(windows, context));
    }

    const between: ResultBefore = { training, test, skipped: allSkipped.slice(skipped.length) };
    await writeRunRecord(folder, { ...record, result: { ...between } });
    await rm(folder.counts, { recursive: true, force: true });

    const evaluation = resolve(options.evaluationDir ?? folder.evaluation);
    let evaluated = 0;
    if (!options.skipEval) {
      clock.start('evaluation');
      const tasks: EvaluationTask[] = [
        ...pick(sets.calibrate).map((sample) => ({ sample, role: 'calibration' as const })),
        ...pick(sets.testNominal).map((sample) => ({ sample, role: 'test' as const })),
        ...pick(sets.testAnomalous).map((sample) => ({ sample, role: 'test' as const })),
      ];
      const setup: EvaluateSetup = {
        ...{ run: folder.root, model: modelIdentity(trained), out: evaluation },
        ...{ binDirs: options.binDirs, rawImages: options.rawImages, device: options.device },
        ...{ source: options.source, process: options.process, preprocessed: options.preprocessed },
        ...{ format: options.evaluationFormat, timeout: options.timeout },
      };
      const scheduler = elsewhere ?? openInProcess(evaluator, context);
      const failed = await evaluateSamples(tasks, setup, scheduler, context);
      evaluated = tasks.length - failed.length;
      for (const item of failed) {
        if (!allSkipped.some(({ name }) => name === item.name)) allSkipped.push(item);
      }
    }
    clock.stop();
    const result: LearnResult = {
      folder,
      evaluation,
      model: modelIdentity(trained),
      sets: {
        train: sets.train.length,
        calibrate: sets.calibrate.length,
        testNominal: sets.testNominal.length,
        testAnomalous: sets.testAnomalous.length,
      },
      training,
      test,
      evaluated,
      skipped: allSkipped,
      seconds: clock.seconds,
    };
    await writeRunRecord(folder, {
      ...record,
      finished: new Date().toISOString(),
      result: { ...result, folder: folder.root },
    });
    return result;
  } catch (error) {
    if (context.signal?.aborted !== true || error instanceof UserError) throw error;
    throw new UserError(
      'interrupted',
      'the run was stopped; --resume with its folder goes on with it',
      {
        category: 'interrupted',
        path: folder.root,
        cause: error,
      },
    );
  } finally {
    await elsewhere?.close();
    await trained?.layer.dispose();
    codeCache.dispose();
  }
}

/** What a run that was interrupted in its evaluation has found out before. */
interface ResultBefore {
  readonly training: TrainingSummary | undefined;
  readonly test: FitScore | undefined;
  readonly skipped: readonly SkippedSample[];
}

/** @returns `undefined` when the run has not trained and tested yet */
async function resultBefore({ resume }: LearnOptions): Promise<ResultBefore | undefined> {
  if (resume === undefined) return undefined;
  const record = await readRunRecord(runFolder(resolve(resume)));
  const result = record?.result as Partial<ResultBefore> | undefined;
  if (result?.skipped === undefined) return undefined;
  return { training: result.training, test: result.test, skipped: result.skipped };
}

async function openRun(
  options: LearnOptions,
): Promise<{ readonly folder: RunFolder; readonly started: string }> {
  if (options.resume === undefined) {
    const now = new Date();
    return { folder: await makeRunFolder(resolve(options.out), now), started: now.toISOString() };
  }
  const folder = runFolder(resolve(options.resume));
  return { folder, started: (await readRunRecord(folder))?.started ?? '' };
}
