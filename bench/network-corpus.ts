import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '../src/base/random.ts';
import type { EvaluateOptions } from '../src/commands/samples/evaluating/evaluate.ts';
import { ImageNotes } from '../src/commands/samples/evaluating/image-notes.ts';
import { windowsFor } from '../src/commands/training/train.ts';
import {
  type CountOptions,
  countTrainingWindows,
  type TrainingCorpus,
} from '../src/commands/training/windows/count-windows.ts';
import { CodeCache } from '../src/flow/code-cache.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { silentContext } from '../src/model/first-layer.ts';
import { Lstm } from '../src/model/lstm/lstm.ts';
import { defaultShape } from '../src/model/lstm/shape.ts';
import { type TrainOptions, type TrainReport, trainLstm } from '../src/model/lstm/train.ts';
import { NgramTable } from '../src/model/ngram/table.ts';
import { defaultFilter, filterTable } from '../src/sequences/filter.ts';
import { Vocabulary } from '../src/sequences/vocabulary.ts';
import type { WindowSet } from '../src/sequences/windows.ts';
import { readSample, type Sample } from '../src/trace/sample.ts';

const data: string = join(import.meta.dirname, '../../shared/data/pdftotext');

/** What networks are tried on. */
export interface NetworkCorpus {
  readonly split: Readonly<Record<'train' | 'test' | 'controls' | 'attacks', readonly string[]>>;
  /** `train` of the split; the first of them train. */
  readonly nominal: readonly string[];
  readonly samplesOf: (names: readonly string[]) => Promise<Sample[]>;
  readonly options: CountOptions & EvaluateOptions;
  readonly corpus: TrainingCorpus;
  readonly vocabulary: Vocabulary;
  readonly windows: WindowSet;
  /** Of unseen nominal traces. */
  readonly heldOut: WindowSet;
}

/**
 * The windows of `pdftotext` that networks learn, and those of its unseen nominal traces. Ends the process, with a
 * word, where the traces are not at hand.
 *
 * @param traces  folder of samples; stored ones (`preprocess`) are read faster
 */
export async function readNetworkCorpus(
  trainingSize: number,
  traces: string = join(data, 'traces'),
): Promise<NetworkCorpus> {
  if (!existsSync(data)) {
    console.log(`skipped: there is no ${data}`);
    process.exit(0);
  }
  const spill = await mkdtemp(join(tmpdir(), 'wayward-windows-'));
  const binDirs = [join(data, 'bin')];
  const options = {
    binDirs,
    rawImages: false,
    preprocessed: false,
    threads: availableParallelism(),
    memoryLimit: 2 ** 28,
    mostWindows: Number.MAX_SAFE_INTEGER,
    spillDirectory: join(spill, 'windows'),
    windowLength: 32,
    filter: filterTable(defaultFilter),
    traces: { images: new ImageStore(binDirs), codeCache: new CodeCache(), preprocessed: false },
    notes: new ImageNotes(false),
  };
  const split: NetworkCorpus['split'] = JSON.parse(readFileSync(join(data, 'split.json'), 'utf8'));
  const samplesOf = (names: readonly string[]): Promise<Sample[]> =>
    Promise.all(names.map((name) => readSample(join(traces, name))));
  const nominal = new Random(1).shuffle([...split.train]);
  const training = await samplesOf(nominal.slice(0, trainingSize));
  const corpus = await countTrainingWindows(training, options, silentContext);
  const vocabulary = Vocabulary.learn(corpus.table, corpus.symbolCounts, corpus.windows, {
    kind: 'learned',
  });
  const windows = windowsFor(vocabulary, corpus);
  const unseen = await countTrainingWindows(await samplesOf(split.test), options, silentContext);
  const heldOut = windowsFor(vocabulary, unseen);
  await rm(spill, { recursive: true });
  return { split, nominal, samplesOf, options, corpus, vocabulary, windows, heldOut };
}

/** What is not said is as `learn` has it. */
export interface NetworkChoices extends Partial<Pick<TrainOptions, 'batchSize' | 'weighting'>> {
  readonly epochs: number;
  /** Of the hidden layers. */
  readonly units?: number;
  readonly withPrior?: boolean;
  readonly learningRate?: number;
}

/** Trains a network on the windows of such a corpus. */
export async function trainNetwork(
  { windows, vocabulary }: NetworkCorpus,
  { epochs, units, withPrior = true, learningRate = 0.001, ...choices }: NetworkChoices,
): Promise<{ readonly lstm: Lstm; readonly report: TrainReport }> {
  const { inputClasses, outputClasses } = vocabulary;
  const sizes = units === undefined ? {} : { embedding: units, units, dense: units };
  const lstm = Lstm.create(
    { ...defaultShape, ...sizes, inputClasses, outputClasses },
    withPrior ? NgramTable.fit(windows, outputClasses) : undefined,
    { device: 'cpu', workers: availableParallelism(), dropout: 0.5, seed: 1 },
  );
  const options: TrainOptions = {
    batchSize: 512,
    weighting: { order: 'drawn', power: 0.5, cap: 0 },
    ...choices,
    epochs,
    optimizer: { kind: 'adam', learningRate, decay: 0, schedule: 'one-cycle', clipNorm: 1 },
    keepBest: false,
    seed: 1,
    patience: 0,
  };
  return { lstm, report: await trainLstm(lstm, windows, options, silentContext) };
}
