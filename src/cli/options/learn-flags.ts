import { availableParallelism } from 'node:os';
import { UserError } from '../../base/errors.ts';
import { defaultNetwork, type LearnOptions } from '../../commands/training/options.ts';
import { type Smoothing, smoothings } from '../../model/ngram/smoothing.ts';
import { defaultFilter, type FilterName, filterNames } from '../../sequences/filter.ts';
import { choice, choices, decimal, integer, type OptionSpec, text } from '../frame/option.ts';
import { version } from '../frame/version.ts';
import { attachOption, type QueueOptions, queueOption, redisUrl } from './queue-options.ts';
import {
  imageOptions,
  preprocessedOption,
  type SourceFlags,
  sizeOptions,
  sourceOf,
  sourceOptions,
} from './sample-flags.ts';

/** What the command line says to `learn`, parsed. */
export interface LearnFlags extends QueueOptions, SourceFlags {
  readonly json: boolean;
  readonly binDir: readonly string[] | undefined;
  readonly rawImages: boolean;
  readonly inputSets: string | undefined;
  readonly outputSets: string | undefined;
  readonly trainSize: number;
  readonly calibrationSize: number | undefined;
  readonly testSizeBenign: number;
  readonly testSizeMalicious: number;
  readonly testSize: number | undefined;
  readonly ratio: number;
  readonly seed: number;
  readonly filter: readonly FilterName[];
  readonly disableRet: boolean;
  readonly disableIcall: boolean;
  readonly disableIjmp: boolean;
  readonly learnCall: boolean;
  readonly learnJmp: boolean;
  readonly sequenceLen: number;
  readonly vocabulary: 'learned' | 'hash' | undefined;
  readonly embeddingInputDimension: number | undefined;
  readonly maxClasses: number | undefined;
  readonly model: 'lstm' | 'ngram';
  readonly smoothing: Smoothing;
  readonly order: number | 'window';
  readonly embeddingOutputDimension: number;
  readonly units: number;
  readonly layers: number;
  readonly dense: number;
  readonly bidirectional: boolean;
  readonly prior: 'ngram' | 'none';
  readonly dropout: number;
  readonly epochs: number | undefined;
  readonly batchSize: number;
  readonly optimizer: 'adam' | 'rmsprop';
  readonly learningRate: number | undefined;
  readonly learningDecay: number;
  readonly sampling: 'drawn' | 'shuffled';
  readonly samplingPower: number;
  readonly samplingCap: number;
  readonly checkpointBest: boolean;
  readonly checkpointEarlyStop: boolean;
  readonly patience: number;
  readonly device: string;
  readonly multiGpu: number | undefined;
  readonly timeout: number | undefined;
  readonly threads: number | undefined;
  readonly memoryLimit: number;
  readonly queueSize: number | undefined;
  readonly useModel: string | undefined;
  readonly store: string | undefined;
  readonly useWeights: string | undefined;
  readonly saveModel: string | undefined;
  readonly saveWeights: string | undefined;
  readonly saveOnnx: string | undefined;
  readonly checkpoint: number;
  readonly resume: string | undefined;
  readonly skipTrain: boolean;
  readonly skipTest: boolean;
  readonly skipEval: boolean;
  readonly evaluationFormat: 'eval' | 'text';
  readonly evalDir: string | undefined;
  readonly out: string;
}

export const learnFlags: readonly OptionSpec[] = [
  ...imageOptions,
  ...sourceOptions,
  preprocessedOption,
  { flags: '-i, --input-sets <file>', help: 'sets file to use', parse: text },
  { flags: '-o, --output-sets <file>', help: 'write the sets that were used', parse: text },
  ...sizeOptions,
  {
    flags: '--test-size <n>',
    help: 'samples to judge in all, instead of the two sizes',
    parse: integer(0),
  },
  {
    flags: '--ratio <share>',
    help: 'benign ones of --test-size',
    parse: decimal(0, 1),
    default: 0.5,
  },
  {
    flags: '--seed <n>',
    help: 'fixes sets, weights and order',
    parse: integer(0, 4294967295),
    default: 1,
  },
  {
    flags: '--filter <list>',
    help: `transfers to predict: ${filterNames.join(', ')}`,
    parse: choices(...filterNames),
    default: defaultFilter,
  },
  { flags: '--disable-ret', help: 'leave returns out' },
  { flags: '--disable-icall', help: 'leave indirect calls out' },
  { flags: '--disable-ijmp', help: 'leave indirect jumps out' },
  { flags: '--learn-call', help: 'predict direct calls, too' },
  { flags: '--learn-jmp', help: 'predict direct jumps, too' },
  {
    flags: '-s, --sequence-len <n>',
    help: 'blocks in a window',
    parse: integer(1, 1024),
    default: 32,
  },
  {
    flags: '--vocabulary <kind>',
    help: 'learned, or hash as the ancestor [that of --use-model; else learned]',
    parse: choice('learned', 'hash'),
  },
  {
    flags: '--embedding-input-dimension <n>',
    help: 'input classes [all blocks of the training set; hash: 1024]',
    parse: integer(2, 2 ** 24),
  },
  {
    flags: '--max-classes <n>',
    help: 'output classes [all targets of the training set; hash: 1024]',
    parse: integer(2, 2 ** 24),
  },
  {
    flags: '--model <kind>',
    help: 'lstm, or ngram, which fits in seconds',
    parse: choice('lstm', 'ngram'),
    default: 'lstm',
  },
  {
    flags: '--smoothing <kind>',
    help: 'how the n-gram, alone or below the network, judges what is new: witten-bell, kneser-ney; none draws by weight, as the ancestor',
    parse: choice(...smoothings),
    default: 'witten-bell',
  },
  {
    flags: '--order <n>',
    help: 'longest context of the n-gram, in blocks, or window: all of it',
    parse: (value) => (value === 'window' ? { value } : integer(1, 1024)(value)),
    default: 'window',
  },
  {
    flags: '--embedding-output-dimension <n>',
    help: 'features of a block',
    parse: integer(1, 4096),
    default: defaultNetwork.embedding,
  },
  {
    flags: '--units <n>',
    help: 'cells of each LSTM',
    parse: integer(1, 4096),
    default: defaultNetwork.units,
  },
  { flags: '--layers <n>', help: 'LSTMs', parse: integer(1, 16), default: defaultNetwork.layers },
  {
    flags: '--dense <n>',
    help: 'units of the hidden layer',
    parse: integer(1, 65536),
    default: defaultNetwork.dense,
  },
  { flags: '--bidirectional', help: 'read windows in both directions' },
  {
    flags: '--prior <kind>',
    help: 'what the network starts from: ngram, or none as the ancestor',
    parse: choice('ngram', 'none'),
    default: 'ngram',
  },
  {
    flags: '--dropout <rate>',
    help: 'share of hidden units left out in training',
    parse: decimal(0, 0.95),
    default: 0.5,
  },
  {
    flags: '-e, --epochs <n>',
    help: 'passes over the distinct windows [2; 16 with --prior none]',
    parse: integer(1, 100_000),
  },
  {
    flags: '-b, --batch-size <n>',
    help: 'windows in a step',
    parse: integer(1, 65536),
    default: 512,
  },
  {
    flags: '--optimizer <name>',
    help: 'adam with one cycle of the rate, or rmsprop as the ancestor',
    parse: choice('adam', 'rmsprop'),
    default: 'adam',
  },
  {
    flags: '--learning-rate <rate>',
    help: 'largest learning rate [0.001]',
    parse: decimal(0, 10, 'open'),
  },
  {
    flags: '--learning-decay <rate>',
    help: 'decay of the rate with each step',
    parse: decimal(0),
    default: 0,
  },
  {
    flags: '--sampling-power <p>',
    help: 'a window that occurred n times weighs n^p: 1 = every occurrence, 0 = every distinct window alike',
    parse: decimal(0, 1),
    default: 0.5,
  },
  {
    flags: '--sampling-cap <n>',
    help: 'occurrences of a window that count at most; 0 = all',
    parse: integer(0),
    default: 0,
  },
  {
    flags: '--sampling <kind>',
    help: 'drawn: windows are drawn by weight; shuffled: each once an epoch, weighted in the loss',
    parse: choice('drawn', 'shuffled'),
    default: 'drawn',
  },
  {
    flags: '--patience <n>',
    help: 'epochs without progress after which to stop, keeping the best; 0 = never',
    parse: integer(0),
    default: 0,
  },
  {
    flags: '--device <names>',
    help: 'cpu, webgpu, cuda:N, or several with commas between; each takes a share of every batch',
    parse: text,
    default: 'cpu',
  },
  {
    flags: '--multi-gpu <n>',
    help: 'the same as --device cuda:0,...,cuda:N-1',
    parse: integer(1, 64),
  },
  {
    flags: '--memory-limit <megabytes>',
    help: 'memory for counted windows; more than that goes to disk',
    parse: integer(1),
    default: 256,
  },
  {
    flags: '--queue-size <n>',
    help: 'counted windows to hold in memory [what --memory-limit allows]',
    parse: integer(1),
  },
  {
    flags: '--timeout <seconds>',
    help: 'time for reading one sample; one that takes longer is left out [any]',
    parse: decimal(0, 1e6, 'open'),
  },
  { flags: '-t, --threads <n>', help: 'worker threads [cores]', parse: integer(1, 256) },
  {
    flags: '--use-model <run>',
    help: 'run folder to use without training, or Keras model.json, trained if it has no weights',
    parse: text,
  },
  {
    flags: '--store <url>',
    help: "Redis that keeps what is learned, too: --use-model takes it from there by the name of the run's folder",
    parse: redisUrl,
    isSecret: true,
  },
  { flags: '--use-weights <file>', help: 'weights of a Keras model (HDF5)', parse: text },
  { flags: '--save-model <file>', help: 'write the network for Keras (JSON)', parse: text },
  { flags: '--save-weights <file>', help: 'write its weights for Keras (HDF5)', parse: text },
  { flags: '--save-onnx <file>', help: 'write the network as an ONNX model', parse: text },
  {
    flags: '--checkpoint <minutes>',
    help: 'time between checkpoints of the training; 0 = none',
    parse: decimal(0),
    default: 1,
  },
  {
    flags: '--checkpoint-best',
    help: 'end with the weights of the epoch that had the lowest loss',
  },
  {
    flags: '--checkpoint-early-stop',
    help: 'stop after the first epoch whose loss is not lower: --patience 1',
  },
  { flags: '--resume <run>', help: 'go on with an interrupted run and its options', parse: text },
  queueOption,
  attachOption,
  { flags: '--skip-train', help: 'train nothing: use --use-model or --use-weights' },
  { flags: '--skip-test', help: 'leave out how well unseen benign samples are predicted' },
  { flags: '--skip-eval', help: 'leave out the evaluations' },
  {
    flags: '--evaluation-format <kind>',
    help: 'eval, or text as the ancestor',
    parse: choice('eval', 'text'),
    default: 'eval',
  },
  { flags: '--eval-dir <dir>', help: "where evaluations go [the run's folder]", parse: text },
  { flags: '--out <dir>', help: 'folder in which runs/ is made', parse: text, default: '.' },
];

/** @throws UserError when flags contradict each other */
export function learnOptionsOf(root: string, o: LearnFlags): LearnOptions {
  const disabled: Partial<Record<FilterName, boolean>> = {
    ret: o.disableRet,
    icall: o.disableIcall,
    ijmp: o.disableIjmp,
  };
  const added: Partial<Record<FilterName, boolean>> = { call: o.learnCall, jmp: o.learnJmp };
  const benign = Math.round((o.testSize ?? 0) * o.ratio);
  return {
    root,
    binDirs: o.binDir ?? [],
    rawImages: o.rawImages ?? false,
    ...sourceOf(o),
    inputSets: o.inputSets,
    outputSets: o.outputSets,
    sizes: {
      train: o.trainSize,
      calibrate: o.calibrationSize,
      testNominal: o.testSize === undefined ? o.testSizeBenign : benign,
      testAnomalous: o.testSize === undefined ? o.testSizeMalicious : o.testSize - benign,
    },
    seed: o.seed,
    filter: filterNames.filter(
      (name) => (o.filter.includes(name) && !disabled[name]) || added[name],
    ),
    windowLength: o.sequenceLen,
    vocabulary: o.vocabulary,
    maxInputClasses: o.embeddingInputDimension,
    maxOutputClasses: o.maxClasses,
    model: o.model,
    smoothing: o.smoothing,
    order: o.order === 'window' ? undefined : o.order,
    network: {
      embedding: o.embeddingOutputDimension,
      units: o.units,
      layers: o.layers,
      dense: o.dense,
      bidirectional: o.bidirectional ?? false,
    },
    prior: o.prior,
    dropout: o.dropout,
    epochs: o.epochs ?? (o.prior === 'none' ? 16 : 2),
    batchSize: o.batchSize,
    optimizer: {
      kind: o.optimizer,
      learningRate: o.learningRate ?? 0.001,
      decay: o.learningDecay,
      schedule: o.optimizer === 'adam' ? 'one-cycle' : 'constant',
      clipNorm: o.optimizer === 'adam' ? 1 : 0,
    },
    weighting: { order: o.sampling, power: o.samplingPower, cap: o.samplingCap },
    keepBest: o.checkpointBest ?? false,
    patience: o.patience || (o.checkpointEarlyStop ? 1 : 0),
    device: deviceOf(o),
    timeout: o.timeout,
    workers: o.threads ?? availableParallelism(),
    memoryLimit: o.memoryLimit * 2 ** 20,
    queueSize: o.queueSize ?? Number.MAX_SAFE_INTEGER,
    useModel: o.useModel,
    store: o.store,
    useWeights: o.useWeights,
    saveModel: o.saveModel,
    saveWeights: o.saveWeights,
    saveOnnx: o.saveOnnx,
    checkpointSeconds: o.checkpoint * 60,
    resume: o.attach ?? o.resume,
    skipTrain: o.skipTrain ?? false,
    skipTest: o.skipTest ?? false,
    skipEval: o.skipEval ?? false,
    evaluationFormat: o.evaluationFormat,
    evaluationDir: o.evalDir,
    out: o.out,
    version,
  };
}

function deviceOf({ device, multiGpu }: LearnFlags): string {
  if (multiGpu === undefined) return device;
  const devices = Array.from({ length: multiGpu }, (_, i) => `cuda:${i}`).join(',');
  if (device !== 'cpu' && device !== devices) {
    throw new UserError(
      'devices-contradict',
      `--multi-gpu ${multiGpu} and --device ${device} contradict each other`,
      {
        category: 'arguments',
      },
    );
  }
  return devices;
}
