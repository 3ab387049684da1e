import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { writeFileAtomic } from '../base/files.ts';
import { CodeCache } from '../flow/code-cache.ts';
import { TransferProfile } from '../flow/evidence-profile.ts';
import { ImageStore } from '../image/image-store.ts';
import type { FirstLayer, FitScore, RunContext } from '../model/first-layer.ts';
import { loadKeras, saveKeras } from '../model/keras.ts';
import { Lstm } from '../model/lstm.ts';
import { defaultShape, type LstmShape } from '../model/lstm-shape.ts';
import { Ngram } from '../model/ngram.ts';
import { NgramTable } from '../model/ngram-table.ts';
import { saveOnnx as writeOnnx } from '../model/onnx-export.ts';
import type { OptimizerOptions } from '../model/optimizer.ts';
import { scorePredictions } from '../model/score-windows.ts';
import { type EpochReport, trainLstm } from '../model/train-lstm.ts';
import { classifyWindows } from '../sequences/classify-windows.ts';
import { type FilterName, filterTable } from '../sequences/filter.ts';
import { Vocabulary } from '../sequences/vocabulary.ts';
import type { WindowSet } from '../sequences/windows.ts';
import type { TraceContext } from '../trace/open-trace.ts';
import { findSamples, type Sample } from '../trace/sample.ts';
import { readSets, writeSets } from '../trace/sets-file.ts';
import { writeEvaluation } from '../verdict/evaluation-file.ts';
import { writeTextEvaluation } from '../verdict/evaluation-text.ts';
import { type ChosenSets, chooseSets, type SetSizes } from './choose-sets.ts';
import { type CountOptions, countTrainingWindows } from './count-windows.ts';
import { type EvaluationTask, evaluateTraces, modelIdentity, type Trained } from './evaluate.ts';
import { ImageNotes } from './image-notes.ts';
import {
  makeRunFolder,
  type RunFolder,
  type RunRecord,
  readRunRecord,
  runFolder,
  writeRunRecord,
} from './run-folder.ts';
import type { SkippedSample } from './skipped.ts';

/** Everything that `learn` can be told; the command line fills in its defaults. */
export interface LearnOptions {
  /** Folder that holds one folder a sample. */
  readonly root: string;
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  /** Read stored traces, never raw ones. */
  readonly preprocessed: boolean;
  /** A sets file to use instead of dealing samples out. */
  readonly inputSets: string | undefined;
  /** Where to write the sets that were used, beside the run's own copy. */
  readonly outputSets: string | undefined;
  readonly sizes: SetSizes;
  readonly seed: number;
  readonly filter: readonly FilterName[];
  readonly windowLength: number;
  readonly vocabulary: 'learned' | 'hash';
  readonly maxInputClasses: number | undefined;
  readonly maxOutputClasses: number | undefined;
  readonly model: 'lstm' | 'ngram';
  readonly network: Pick<LstmShape, 'embedding' | 'units' | 'layers' | 'dense' | 'bidirectional'>;
  /** Start from the n-gram's logits, or from nothing as the ancestor does. */
  readonly prior: 'ngram' | 'none';
  readonly dropout: number;
  readonly epochs: number;
  readonly batchSize: number;
  readonly optimizer: Omit<OptimizerOptions, 'totalSteps'>;
  readonly samplingPower: number;
  readonly patience: number;
  readonly device: string;
  readonly workers: number;
  /** Run folder whose model is used, or a Keras `model.json`; training is left out. */
  readonly useModel: string | undefined;
  /** Keras weights (HDF5) for a Keras `useModel`. */
  readonly useWeights: string | undefined;
  /** Where the trained network is written for Keras: both or none. */
  readonly saveModel: string | undefined;
  readonly saveWeights: string | undefined;
  /** Where it is written as an ONNX model. */
  readonly saveOnnx: string | undefined;
  /** Seconds between checkpoints of the training; 0 = none. */
  readonly checkpointSeconds: number;
  /** Folder of a run that was interrupted: it goes on with its own options. */
  readonly resume: string | undefined;
  readonly skipTest: boolean;
  readonly skipEval: boolean;
  readonly evaluationFormat: 'eval' | 'text';
  /** Where the evaluations go; `undefined` = into the run's folder. */
  readonly evaluationDir: string | undefined;
  /** Folder in which `runs/` is made. */
  readonly out: string;
  /** For the run's record. */
  readonly version: string;
}

export const defaultNetwork: LearnOptions['network'] = {
  embedding: defaultShape.embedding,
  units: defaultShape.units,
  layers: defaultShape.layers,
  dense: defaultShape.dense,
  bidirectional: defaultShape.bidirectional,
};

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

export interface TrainingSummary {
  readonly traces: number;
  readonly blocks: number;
  readonly windows: number;
  readonly distinctWindows: number;
  readonly inputClasses: number;
  readonly outputClasses: number;
  readonly epochs: readonly EpochReport[];
}

/**
 * Learns normal control flow from nominal traces, tests how well it predicts unseen nominal ones,
 * and writes one evaluation for each calibration and test trace.
 *
 * @throws UserError
 */
export async function learn(asked: LearnOptions, context: RunContext): Promise<LearnResult> {
  const clock = new Stopwatch();
  const options = await settleOptions(asked);
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
    options: { ...options },
    sets: {
      train: names(sets.train),
      calibrate: names(sets.calibrate),
      testNominal: names(sets.testNominal),
      testAnomalous: names(sets.testAnomalous),
    },
    result: {},
  };
  // Before the work, so that an interrupted run can be resumed from its folder alone.
  await writeRunRecord(folder, record);

  const codeCache = new CodeCache();
  const traces: TraceContext = {
    images: new ImageStore(options.binDirs, { rawImages: options.rawImages }),
    codeCache,
    preprocessed: options.preprocessed,
  };
  const allSkipped = [...skipped];
  let trained: Trained | undefined;
  try {
    const loaded =
      options.useModel === undefined || isKeras(options.useModel)
        ? undefined
        : await loadTrained(options.useModel, {
            workers: options.workers,
            device: options.device,
            seed: options.seed,
          });
    const count: CountOptions = {
      windowLength: loaded?.layer.windowLength ?? options.windowLength,
      filter: filterTable(loaded?.filter ?? options.filter),
      traces,
      notes: new ImageNotes(options.rawImages),
    };
    let training: TrainingSummary | undefined;
    if (loaded !== undefined) {
      trained = loaded;
    } else {
      const result = await train(pick(sets.train), options, count, folder, context, clock);
      trained = result.trained;
      training = result.summary;
      allSkipped.push(...result.skipped);
    }
    await saveTrained(folder, trained, loaded?.filter ?? options.filter);
    await exportNetwork(trained, options);
    await rm(folder.checkpoint, { force: true });

    let test: FitScore | undefined;
    if (!options.skipTest && sets.testNominal.length > 0) {
      clock.start('testing');
      const counted = await countTrainingWindows(pick(sets.testNominal), count, context);
      const windows = windowsFor(trained.vocabulary, counted);
      test = scorePredictions(windows, await trained.layer.predict(windows, context));
    }

    const evaluation = resolve(options.evaluationDir ?? folder.evaluation);
    let evaluated = 0;
    if (!options.skipEval) {
      clock.start('evaluation');
      const tasks: EvaluationTask[] = [
        ...pick(sets.calibrate).map((sample) => ({ sample, role: 'calibration' as const })),
        ...pick(sets.testNominal).map((sample) => ({ sample, role: 'test' as const })),
        ...pick(sets.testAnomalous).map((sample) => ({ sample, role: 'test' as const })),
      ];
      const failed = await evaluateTraces(tasks, trained, count, context, async (item) => {
        if (options.evaluationFormat === 'text') await writeTextEvaluation(evaluation, item);
        else await writeEvaluation(evaluation, item);
        evaluated++;
      });
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
    await trained?.layer.dispose();
    codeCache.dispose();
  }
}

/** Paths become absolute, so that the run's record holds wherever it is read. @throws UserError */
async function settleOptions(asked: LearnOptions): Promise<LearnOptions> {
  if (asked.resume === undefined) {
    const { saveModel, saveWeights } = asked;
    if ((saveModel === undefined) !== (saveWeights === undefined)) {
      throw new UserError('keras-half', '--save-model and --save-weights go together', {
        category: 'arguments',
      });
    }
    if (saveModel !== undefined && asked.prior !== 'none') {
      throw new UserError('keras-prior', 'a Keras model cannot hold the n-gram: add --prior none', {
        category: 'arguments',
      });
    }
    return {
      ...asked,
      root: resolve(asked.root),
      binDirs: asked.binDirs.map((dir) => resolve(dir)),
    };
  }
  const folder = runFolder(resolve(asked.resume));
  const record = await readRunRecord(folder);
  if (record === undefined) {
    throw new UserError('no-run', 'holds no run.json: it is no run', {
      category: 'input',
      path: folder.root,
    });
  }
  if (record.finished !== undefined) {
    throw new UserError('run-finished', `is finished since ${record.finished}`, {
      category: 'arguments',
      path: folder.root,
    });
  }
  const { resume, workers, device } = asked;
  const options = record.options as unknown as LearnOptions;
  return { ...options, inputSets: folder.sets, resume, workers, device };
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

function isKeras(path: string): boolean {
  return path.endsWith('.json');
}

/** Writes the network for other programs, where that was asked for. */
async function exportNetwork(trained: Trained, options: LearnOptions): Promise<void> {
  const { saveModel, saveWeights, saveOnnx } = options;
  if (saveModel === undefined && saveOnnx === undefined) return;
  if (!(trained.layer instanceof Lstm)) {
    throw new UserError('not-a-network', 'only an LSTM can be written for Keras or as ONNX', {
      category: 'arguments',
    });
  }
  if (saveModel !== undefined && saveWeights !== undefined) {
    await saveKeras(trained.layer, saveModel, saveWeights);
  }
  if (saveOnnx !== undefined) {
    await writeOnnx(trained.layer, saveOnnx, {
      'wayward.vocabulary': trained.vocabulary.serialized,
    });
  }
}

interface ChosenSamples {
  readonly samples: readonly Sample[];
  readonly skipped: readonly SkippedSample[];
  readonly sets: ChosenSets;
}

async function chooseSamples(options: LearnOptions, context: RunContext): Promise<ChosenSamples> {
  const found = await findSamples(options.root, options.preprocessed ? 'preprocessed' : 'any');
  const skipped: SkippedSample[] = [];
  const leaveOut = (name: string, reason: string): void => {
    context.log.log('warning', `left out: ${reason}`);
    skipped.push({ name, reason });
  };
  for (const { directory, reason } of found.skipped)
    leaveOut(directory.split('/').at(-1) ?? directory, reason);
  if (options.inputSets === undefined) {
    return {
      samples: found.samples,
      skipped,
      sets: chooseSets(found.samples, options.sizes, options.seed),
    };
  }
  const { sets, skipped: entries } = await readSets(options.inputSets, options.root);
  for (const { entry, reason } of entries)
    leaveOut(entry.split('/').at(-1) ?? entry, `${entry} ${reason}`);
  const known = new Set(found.samples.map(({ directory }) => directory));
  const kept = (list: readonly string[]): string[] =>
    list.filter((directory) => {
      if (known.has(directory)) return true;
      if (!found.skipped.some((item) => item.directory === directory)) {
        leaveOut(directory.split('/').at(-1) ?? directory, `${directory} is no sample`);
      }
      return false;
    });
  return {
    samples: found.samples,
    skipped,
    sets: {
      train: kept(sets.train),
      calibrate: kept(sets.calibrate),
      testNominal: kept(sets.testNominal),
      testAnomalous: kept(sets.testAnomalous),
    },
  };
}

async function train(
  samples: readonly Sample[],
  options: LearnOptions,
  count: CountOptions,
  folder: RunFolder,
  context: RunContext,
  clock: Stopwatch,
): Promise<{
  readonly trained: Trained;
  readonly summary: TrainingSummary;
  readonly skipped: readonly SkippedSample[];
}> {
  const wrong = samples.find(({ label }) => label === 'anomalous');
  if (wrong !== undefined) {
    throw new UserError(
      'training-anomalous',
      'is labelled malicious but stands in the training set',
      {
        category: 'input',
        path: wrong.directory,
      },
    );
  }
  clock.start('reading');
  const corpus = await countTrainingWindows(samples, count, context);
  if (corpus.counter.length === 0) {
    throw new UserError(
      'no-windows',
      `the ${samples.length} training traces hold no window of ${options.windowLength} blocks that ends in ${options.filter.join(', ')}`,
      { category: 'input', path: resolve(options.root) },
    );
  }
  const sizes = options.useModel === undefined ? options : await kerasSizes(options);
  const vocabulary = Vocabulary.learn(corpus.table, corpus.symbolCounts, corpus.counter, {
    kind: sizes.vocabulary,
    ...(sizes.maxInputClasses === undefined ? {} : { maxInputClasses: sizes.maxInputClasses }),
    ...(sizes.maxOutputClasses === undefined ? {} : { maxOutputClasses: sizes.maxOutputClasses }),
  });
  const windows = windowsFor(vocabulary, corpus);
  context.log.log(
    'info',
    `${corpus.samples.length} training traces: ${showCount(corpus.blocks)} blocks, ${showCount(corpus.occurrences)} windows, ${showCount(windows.length)} distinct; ${showCount(vocabulary.inputClasses)} input and ${showCount(vocabulary.outputClasses)} output classes`,
  );
  clock.start('training');
  const { layer, epochs } = await fitLayer(windows, vocabulary, options, folder, context);
  return {
    trained: { layer, vocabulary, profile: corpus.profile },
    skipped: corpus.skipped,
    summary: {
      traces: corpus.samples.length,
      blocks: corpus.blocks,
      windows: corpus.occurrences,
      distinctWindows: windows.length,
      inputClasses: vocabulary.inputClasses,
      outputClasses: vocabulary.outputClasses,
      epochs,
    },
  };
}

async function fitLayer(
  windows: WindowSet,
  vocabulary: Vocabulary,
  options: LearnOptions,
  folder: RunFolder,
  context: RunContext,
): Promise<{ readonly layer: FirstLayer; readonly epochs: readonly EpochReport[] }> {
  const { inputClasses, outputClasses } = vocabulary;
  if (options.useModel !== undefined) return { layer: await openKeras(options), epochs: [] };
  if (options.model === 'ngram')
    return { layer: Ngram.fit(windows, inputClasses, outputClasses), epochs: [] };
  const shape: LstmShape = {
    ...defaultShape,
    ...options.network,
    windowLength: options.windowLength,
    inputClasses,
    outputClasses,
  };
  const prior = options.prior === 'none' ? undefined : NgramTable.fit(windows, outputClasses);
  const { device, workers, dropout, seed } = options;
  const layer = Lstm.create(shape, prior, { device, workers, dropout, seed });
  const lines: string[] = [];
  try {
    const checkpoint = {
      path: folder.checkpoint,
      everySeconds: options.checkpointSeconds,
      resume: options.resume !== undefined && existsSync(folder.checkpoint),
    };
    const training = options.checkpointSeconds > 0 ? { ...options, checkpoint } : options;
    const report = await trainLstm(layer, windows, training, context, async (epoch) => {
      const { loss, accuracy } = epoch;
      context.log.log('info', `epoch ${epoch.epoch}`, {
        loss,
        accuracy,
        'windows/s': epoch.windows / epoch.seconds,
      });
      lines.push(`${JSON.stringify({ phase: 'training', ...epoch })}\n`);
      await writeFileAtomic(folder.metrics, lines.join(''));
    });
    return { layer, epochs: report.epochs };
  } catch (error) {
    await layer.dispose();
    throw error;
  }
}

async function openKeras(options: LearnOptions): Promise<Lstm> {
  const { useModel = '', useWeights, device, workers, seed, windowLength } = options;
  if (useWeights === undefined) {
    throw new UserError('keras-half', 'a Keras model needs --use-weights', {
      category: 'arguments',
    });
  }
  return loadKeras(useModel, useWeights, { device, workers, seed }, windowLength);
}

/** A network that Wayward did not train knows the ancestor's classes, `BBID mod N`, only. */
async function kerasSizes(
  options: LearnOptions,
): Promise<Pick<LearnOptions, 'vocabulary' | 'maxInputClasses' | 'maxOutputClasses'>> {
  const { inputClasses, outputClasses } = await openKeras(options);
  return { vocabulary: 'hash', maxInputClasses: inputClasses, maxOutputClasses: outputClasses };
}

function windowsFor(
  vocabulary: Vocabulary,
  { table, counter }: Pick<Awaited<ReturnType<typeof countTrainingWindows>>, 'table' | 'counter'>,
): WindowSet {
  const inputs = vocabulary.inputClassesOf(table);
  return classifyWindows(counter, inputs, vocabulary.outputClassesOf(table)).windows;
}

/** Files of a trained first layer, beside the model's own. */
const profileName = 'transfers.gz';
const filterName = 'filter.json';

async function saveTrained(
  folder: RunFolder,
  trained: Trained,
  filter: readonly FilterName[],
): Promise<void> {
  await trained.vocabulary.save(`${folder.vocabulary}.json.gz`);
  await trained.profile.save(join(folder.model, profileName));
  await writeFileAtomic(join(folder.model, filterName), `${JSON.stringify(filter)}\n`);
  await trained.layer.save(folder.model);
}

/** Opens what an earlier run has learned. @param path  the run's folder, or its `model` folder */
export async function loadTrained(
  path: string,
  options: { readonly workers: number; readonly device: string; readonly seed: number },
): Promise<Trained & { readonly filter: readonly FilterName[] }> {
  const root = path.replace(/\/+$/, '').endsWith('/model') ? dirname(resolve(path)) : resolve(path);
  const folder = runFolder(root);
  const vocabulary = await Vocabulary.load(`${folder.vocabulary}.json.gz`);
  const profile = await TransferProfile.load(join(folder.model, profileName));
  const filter = JSON.parse(await readFile(join(folder.model, filterName), 'utf8')) as FilterName[];
  const record = JSON.parse(await readFile(join(folder.model, 'model.json'), 'utf8')) as {
    model?: string;
  };
  const layer: FirstLayer =
    record.model === 'ngram'
      ? await Ngram.load(folder.model)
      : await Lstm.load(folder.model, options);
  if (
    layer.inputClasses !== vocabulary.inputClasses ||
    layer.outputClasses !== vocabulary.outputClasses
  ) {
    throw new UserError(
      'vocabulary-mismatch',
      `the model takes ${layer.inputClasses} and gives ${layer.outputClasses} classes, the vocabulary has ${vocabulary.inputClasses} and ${vocabulary.outputClasses}`,
      { category: 'input', path: root },
    );
  }
  return { layer, vocabulary, profile, filter };
}

function showCount(value: number): string {
  return value.toLocaleString('en-US');
}

/** Wall-clock seconds by phase. */
class Stopwatch {
  readonly seconds: Record<string, number> = {};
  #phase: string | undefined;
  #since = 0;

  start(phase: string): void {
    this.stop();
    this.#phase = phase;
    this.#since = performance.now();
  }

  stop(): void {
    if (this.#phase === undefined) return;
    const spent = (performance.now() - this.#since) / 1000;
    this.seconds[this.#phase] = (this.seconds[this.#phase] ?? 0) + spent;
    this.#phase = undefined;
  }
}
