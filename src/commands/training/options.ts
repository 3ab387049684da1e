import { resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import type { OptimizerOptions } from '../../model/lstm/optimizer.ts';
import { defaultShape, type LstmShape } from '../../model/lstm/shape.ts';
import type { Weighting } from '../../model/lstm/window-order.ts';
import type { Smoothing } from '../../model/ngram/smoothing.ts';
import { defaultFilter, type FilterName } from '../../sequences/filter.ts';
import { readRunRecord, runFolder } from '../run/folder.ts';
import type { SetSizes } from '../samples/choose-sets.ts';
import type { SampleSource } from '../samples/source.ts';

/** Everything that `learn` can be told; the command line fills in its defaults. */
export interface LearnOptions extends SampleSource {
  /** Folder that holds one folder a sample. */
  readonly root: string;
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  /** A sets file to use instead of dealing samples out. */
  readonly inputSets: string | undefined;
  /** Where to write the sets that were used, beside the run's own copy. */
  readonly outputSets: string | undefined;
  readonly sizes: SetSizes;
  readonly seed: number;
  readonly filter: readonly FilterName[];
  readonly windowLength: number;
  /** `undefined`: what `useModel` was trained with, else `learned`. */
  readonly vocabulary: 'learned' | 'hash' | undefined;
  readonly maxInputClasses: number | undefined;
  readonly maxOutputClasses: number | undefined;
  readonly model: 'lstm' | 'ngram';
  /** Of the n-gram; see `NgramTable`. */
  readonly smoothing: Smoothing;
  /** Longest context of the n-gram, in blocks; `undefined` = the whole window. */
  readonly order: number | undefined;
  readonly network: Pick<LstmShape, 'embedding' | 'units' | 'layers' | 'dense' | 'bidirectional'>;
  /** Start from the n-gram's logits, or from nothing as the ancestor does. */
  readonly prior: 'ngram' | 'none';
  readonly dropout: number;
  readonly epochs: number;
  readonly batchSize: number;
  readonly optimizer: Omit<OptimizerOptions, 'totalSteps'>;
  readonly weighting: Weighting;
  /** End with the weights of the epoch with the lowest loss. */
  readonly keepBest: boolean;
  readonly patience: number;
  /** `cpu`, `webgpu`, `cuda:N`, or several with commas between. */
  readonly device: string;
  readonly workers: number;
  /** Seconds for reading one sample; `undefined` = any. */
  readonly timeout: number | undefined;
  /** Bytes that counted windows may take before they are written to disk. */
  readonly memoryLimit: number;
  /** Distinct windows that may be held before they are written to disk. */
  readonly queueSize: number;
  /** Run folder whose model is used, or a Keras `model.json`, which is trained unless it has weights. */
  readonly useModel: string | undefined;
  /** Redis that keeps what is learned, too, under the name of the run's folder, and has what `useModel` names. */
  readonly store: string | undefined;
  /** Keras weights (HDF5) for a Keras `useModel`, or for the network that the options describe. */
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
  /** Use what is trained already; training samples are not read. */
  readonly skipTrain: boolean;
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

/** What holds where a user says nothing. */
export const defaultLearnOptions: Omit<LearnOptions, 'root' | 'workers' | 'version'> = {
  binDirs: [],
  rawImages: false,
  source: 'trace',
  process: undefined,
  preprocessed: false,
  inputSets: undefined,
  outputSets: undefined,
  sizes: { train: 8, calibrate: undefined, testNominal: 2, testAnomalous: 2 },
  seed: 1,
  filter: defaultFilter,
  windowLength: defaultShape.windowLength,
  vocabulary: undefined,
  maxInputClasses: undefined,
  maxOutputClasses: undefined,
  model: 'lstm',
  smoothing: 'witten-bell',
  order: undefined,
  network: defaultNetwork,
  prior: 'ngram',
  dropout: 0.5,
  epochs: 2,
  batchSize: 512,
  optimizer: {
    kind: 'adam',
    learningRate: 0.001,
    decay: 0,
    schedule: 'one-cycle',
    clipNorm: 1,
  },
  weighting: { order: 'drawn', power: 0.5, cap: 0 },
  keepBest: false,
  patience: 0,
  device: 'cpu',
  timeout: undefined,
  memoryLimit: 2 ** 28,
  queueSize: Number.MAX_SAFE_INTEGER,
  useModel: undefined,
  store: undefined,
  useWeights: undefined,
  saveModel: undefined,
  saveWeights: undefined,
  saveOnnx: undefined,
  checkpointSeconds: 60,
  resume: undefined,
  skipTrain: false,
  skipTest: false,
  skipEval: false,
  evaluationFormat: 'eval',
  evaluationDir: undefined,
  out: '.',
};

/** Paths become absolute, so that the run's record holds wherever it is read. @throws UserError */
export async function settleOptions(asked: LearnOptions): Promise<LearnOptions> {
  if (asked.resume === undefined) {
    const { saveModel, saveWeights, order, windowLength, smoothing, model, prior } = asked;
    if (smoothing === 'none' && model === 'lstm' && prior === 'ngram') {
      throw new UserError(
        'prior-unsmoothed',
        '--smoothing none leaves a network nothing to add to: choose another, --prior none, or --model ngram',
        { category: 'arguments' },
      );
    }
    if (order !== undefined && order > windowLength) {
      throw new UserError(
        'order-too-long',
        `--order ${order} is longer than the windows, which have ${windowLength} blocks`,
        { category: 'arguments' },
      );
    }
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
    if (asked.filter.length === 0 && asked.source === 'trace') {
      throw new UserError(
        'no-filter',
        'every kind of transfer is left out: nothing is to be predicted',
        {
          category: 'arguments',
        },
      );
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
