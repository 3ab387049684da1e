import { resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { isThere } from '../../base/files/exists.ts';
import { writeFileAtomic } from '../../base/files/write.ts';
import { showCount } from '../../base/text/format.ts';
import type { FirstLayer, RunContext } from '../../model/first-layer.ts';
import { saveKeras } from '../../model/foreign/keras/keras.ts';
import { Lstm } from '../../model/lstm/lstm.ts';
import { defaultShape, type LstmShape } from '../../model/lstm/shape.ts';
import { type EpochReport, trainLstm } from '../../model/lstm/train.ts';
import { Ngram } from '../../model/ngram/ngram.ts';
import { NgramTable } from '../../model/ngram/table.ts';
import { classifyAll } from '../../sequences/classify-windows.ts';
import { Vocabulary } from '../../sequences/vocabulary.ts';
import type { WindowSet } from '../../sequences/windows.ts';
import type { Sample } from '../../trace/sample.ts';
import type { RunFolder } from '../run/folder.ts';
import type { Stopwatch } from '../run/stopwatch.ts';
import type { Trained } from '../samples/evaluating/evaluate.ts';
import type { SkippedSample } from '../samples/skipped.ts';
import { calibrateNgram } from './calibrate-ngram.ts';
import type { CorpusReading } from './corpus-reading.ts';
import type { LearnOptions } from './options.ts';
import { classesFor, type StartingPoint } from './starting-point.ts';
import { countTrainingWindows, type TrainingCorpus } from './windows/count-windows.ts';

export interface TrainingSummary {
  readonly traces: number;
  readonly blocks: number;
  readonly windows: number;
  readonly distinctWindows: number;
  /** Of histories, instead of windows: contexts that were counted. */
  readonly contexts?: number;
  readonly inputClasses: number;
  readonly outputClasses: number;
  readonly epochs: readonly EpochReport[];
}

/** What the steps of a run share. */
export interface TrainingWork {
  readonly options: LearnOptions;
  readonly reading: CorpusReading;
  readonly folder: RunFolder;
  readonly context: RunContext;
  readonly clock: Stopwatch;
}

/** Reads the training traces, learns the vocabulary and fits the first layer. @throws UserError */
export async function train(
  start: Exclude<StartingPoint, { kind: 'run' }>,
  samples: readonly Sample[],
  work: TrainingWork,
): Promise<{
  readonly trained: Trained;
  readonly summary: TrainingSummary;
  readonly skipped: readonly SkippedSample[];
}> {
  const { options, reading, context, clock } = work;
  clock.start('reading');
  const corpus = await countTrainingWindows(samples, reading.count, context);
  if (corpus.occurrences === 0) {
    const units =
      options.source === 'trace'
        ? `blocks that ends in ${options.filter.join(', ')}`
        : 'calls with one more behind it: choose a smaller --sequence-len';
    throw new UserError(
      'no-windows',
      `the ${samples.length} training traces hold no window of ${options.windowLength} ${units}`,
      { category: 'input', path: resolve(options.root) },
    );
  }
  const vocabulary = vocabularyFor(start, options, corpus);
  const windows = windowsFor(vocabulary, corpus);
  context.log.log(
    'info',
    `${corpus.samples.length} training traces: ${showCount(corpus.blocks)} ${options.source === 'trace' ? 'blocks' : 'calls'}, ${showCount(corpus.occurrences)} windows, ${showCount(windows.length)} distinct; ${showCount(vocabulary.inputClasses)} input and ${showCount(vocabulary.outputClasses)} output classes`,
  );
  clock.start('training');
  const { layer, epochs } =
    start.kind === 'network'
      ? { layer: start.network, epochs: [] }
      : await fitLayer(start, windows, vocabulary, corpus.samples, work);
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
  start: Exclude<StartingPoint, { kind: 'run' | 'network' }>,
  windows: WindowSet,
  vocabulary: Vocabulary,
  samples: readonly Sample[],
  { options, reading, folder, context }: TrainingWork,
): Promise<{ readonly layer: FirstLayer; readonly epochs: readonly EpochReport[] }> {
  const { inputClasses, outputClasses } = vocabulary;
  const { windowLength } = windows;
  const { smoothing, order = windowLength } = options;
  const ngram = { smoothing, order, seed: options.seed };
  if (start.kind === 'nothing' && options.model === 'ngram') {
    const model = Ngram.fit(windows, inputClasses, outputClasses, ngram);
    const read = async (some: readonly Sample[]): Promise<WindowSet> =>
      windowsFor(vocabulary, await countTrainingWindows(some, reading.count, context));
    const layer = await calibrateNgram(model, windows, samples, read, context);
    return { layer, epochs: [] };
  }
  const shape: LstmShape =
    start.kind === 'shape'
      ? // A learned vocabulary may need fewer classes than the model file has room for.
        { ...start.shape, inputClasses, outputClasses }
      : { ...defaultShape, ...options.network, windowLength, inputClasses, outputClasses };
  const prior =
    options.prior === 'none' ? undefined : NgramTable.fit(windows, outputClasses, ngram);
  const { device, workers, seed } = options;
  const dropout = start.kind === 'shape' ? start.dropout : options.dropout;
  const layer = Lstm.create(shape, prior, { device, workers, dropout, seed });
  const { saveModel, saveWeights } = options;
  if (saveModel !== undefined) {
    context.log.log(
      'info',
      'the network is trained without an n-gram, which Keras files cannot hold',
    );
  }
  const lines: string[] = [];
  try {
    const checkpoint = {
      path: folder.checkpoint,
      everySeconds: options.checkpointSeconds,
      resume: options.resume !== undefined && isThere(folder.checkpoint),
      ...(saveModel === undefined || saveWeights === undefined
        ? {}
        : { onCheckpoint: () => saveKeras(layer, saveModel, saveWeights, vocabulary) }),
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

/** The vocabulary that a loaded network brings, or one of the training set. */
function vocabularyFor(
  start: Exclude<StartingPoint, { kind: 'run' }>,
  options: LearnOptions,
  { table, symbolCounts, windows }: TrainingCorpus,
): Vocabulary {
  if (start.kind === 'network' && start.vocabulary !== undefined) return start.vocabulary;
  const { vocabulary, maxInputClasses, maxOutputClasses } =
    start.kind === 'network'
      ? classesFor('hash', start.network)
      : start.kind === 'shape'
        ? classesFor(start.vocabulary, start.shape)
        : options;
  return Vocabulary.learn(table, symbolCounts, windows, {
    kind: vocabulary ?? 'learned',
    ...(maxInputClasses === undefined ? {} : { maxInputClasses }),
    ...(maxOutputClasses === undefined ? {} : { maxOutputClasses }),
  });
}

/** Counted windows in the classes of a vocabulary; what counted them is disposed of. */
export function windowsFor(
  vocabulary: Vocabulary,
  { table, windows }: Pick<TrainingCorpus, 'table' | 'windows'>,
): WindowSet {
  const inputs = vocabulary.inputClassesOf(table);
  const set = classifyAll(windows, inputs, vocabulary.outputClassesOf(table));
  windows.dispose();
  return set;
}
