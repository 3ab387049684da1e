import { availableParallelism } from 'node:os';
import {
  choice,
  choices,
  decimal,
  integer,
  type Option,
  type Parse,
  text,
} from '../../base/options/option.ts';
import { type Given, type Settled, settle } from '../../base/options/option-table.ts';
import { type MixingKind, mixingKinds } from '../../model/histories/fit.ts';
import type { OptimizerKind } from '../../model/lstm/optimizer.ts';
import { defaultShape } from '../../model/lstm/shape.ts';
import { type Smoothing, smoothings } from '../../model/ngram/smoothing.ts';
import { defaultFilter, type FilterName, filterNames } from '../../sequences/filter.ts';
import { mostClasses } from '../../sequences/vocabulary.ts';
import { redisUrl } from '../../workers/redis-link.ts';
import {
  binDirsOption,
  calibrationSizeOption,
  cpuOption,
  preprocessedOption,
  processOption,
  rawImagesOption,
  seedOption,
  sourceOption,
  testSizeBenignOption,
  testSizeMaliciousOption,
  trainSizeOption,
} from '../samples/options.ts';
import { outputFile, outputProfile } from '../samples/output-file.ts';
import type { SourceName } from '../samples/source.ts';

/** A number that the command line takes in another unit than the library. @param by  units in one */
function times(by: number, parse: Parse<number>): Parse<number> {
  return (written) => {
    const result = parse(written);
    return 'value' in result ? { value: result.value * by } : result;
  };
}

const samples = 'Samples:';
const windows = 'Windows and vocabulary:';
const model = 'Model:';
const training = 'Training:';
const machine = 'Machine:';
const earlier = 'What is there already:';
const results = 'Results:';

/**
 * Everything that `learn` can be told: an entry is all there is to an option. From it come its flag and
 * help text, its type and default for command line and library, and its line in `run.json`.
 */
class LearnTable {
  /** Folder that holds one folder a sample. */
  readonly root: Option<string> = { help: 'folder that holds one folder a sample', default: '' };
  readonly binDirs: Option<readonly string[]> = binDirsOption;
  readonly rawImages: Option<boolean> = rawImagesOption;
  readonly process: Option<string | undefined> = processOption;
  readonly cpu: Option<string | undefined> = cpuOption;
  readonly source: Option<SourceName> = sourceOption;
  readonly preprocessed: Option<boolean> = preprocessedOption;
  readonly inputSets: Option<string | undefined> = {
    flags: '-i, --input-sets <file>',
    help: 'sets file to use instead of dealing samples out',
    group: samples,
    parse: text,
    default: undefined,
  };
  readonly outputSets: Option<string | undefined> = {
    flags: '--output-sets <file>',
    help: "write the sets that were used, beside the run's own copy",
    group: samples,
    parse: outputFile,
    default: undefined,
  };
  readonly 'sizes.train': Option<number | undefined> = {
    ...trainSizeOption,
    default: undefined,
    shown: 'all that do not test; windows of blocks: those that do not calibrate either',
  };
  readonly 'sizes.calibrate': Option<number | undefined> = calibrationSizeOption;
  readonly 'sizes.testNominal': Option<number> = { ...testSizeBenignOption, default: 0 };
  readonly 'sizes.testAnomalous': Option<number | undefined> = {
    ...testSizeMaliciousOption,
    default: undefined,
    shown: 'all that there are',
  };
  readonly seed: Option<number> = seedOption;
  readonly timeout: Option<number | undefined> = {
    flags: '-t, --timeout <seconds>',
    help: 'time for reading one sample; one that takes longer is left out',
    group: samples,
    parse: decimal(0, 1e6, 'open'),
    default: undefined,
    shown: 'any',
  };
  readonly filter: Option<readonly FilterName[]> = {
    flags: '--filter <list>',
    help: `transfers to predict: ${filterNames.join(', ')}`,
    group: windows,
    parse: choices(...filterNames),
    default: defaultFilter,
  };
  readonly windowLength: Option<number> = {
    flags: '-s, --sequence-len <n>',
    help: 'blocks in a window',
    group: windows,
    parse: integer(1, 1024),
    default: defaultShape.windowLength,
  };
  readonly vocabulary: Option<'learned' | 'hash' | undefined> = {
    flags: '--vocabulary <kind>',
    help: 'learned, or hash as the ancestor',
    group: windows,
    parse: choice('learned', 'hash'),
    default: undefined,
    shown: 'that of --use-model; else learned',
  };
  readonly maxInputClasses: Option<number | undefined> = {
    flags: '--embedding-input-dimension <n>',
    help: 'input classes',
    group: windows,
    parse: integer(2, mostClasses),
    default: undefined,
    shown: 'all blocks of the training set; hash: 1024',
  };
  readonly maxOutputClasses: Option<number | undefined> = {
    flags: '--max-classes <n>',
    help: 'output classes',
    group: windows,
    parse: integer(2, mostClasses),
    default: undefined,
    shown: 'all targets of the training set; hash: 1024',
  };
  readonly model: Option<'lstm' | 'ngram', LearnOptions> = {
    flags: '--model <kind>',
    help: 'ngram, which fits in seconds, or lstm, a network',
    group: model,
    parse: choice('lstm', 'ngram'),
    // Only a network can be written for other tools.
    default: ({ saveModel, saveOnnx }) =>
      saveModel === undefined && saveOnnx === undefined ? 'ngram' : 'lstm',
    shown: 'ngram; lstm with --save-model or --save-onnx',
  };
  readonly context: Option<'histories' | 'blocks', LearnOptions> = {
    flags: '--context <kind>',
    help: 'what a transfer is told from: histories of the run, beside what the code allows; or a window of blocks, as the ancestor',
    group: model,
    parse: choice('histories', 'blocks'),
    default: (asked) => (canTakeHistories(asked) && !saysWindows(asked) ? 'histories' : 'blocks'),
    shown: 'histories; blocks for a network, for calls and for the aliases',
  };
  readonly mixing: Option<MixingKind> = {
    flags: '--mixing <kind>',
    help: 'how histories are weighed: weights; or network, which corrects the weights by a small one: better predictions, some ten seconds more',
    group: model,
    parse: choice(...mixingKinds),
    default: 'weights',
  };
  readonly smoothing: Option<Smoothing> = {
    flags: '--smoothing <kind>',
    help: 'how the n-gram, alone or below the network, judges what is new: witten-bell, kneser-ney; none draws by weight, as the ancestor',
    group: model,
    parse: choice(...smoothings),
    default: 'witten-bell',
  };
  /** Longest context of the n-gram, in blocks; `undefined` = the whole window. */
  readonly order: Option<number | undefined> = {
    flags: '--order <n>',
    help: 'longest context of the n-gram, in blocks, or window: all of it',
    group: model,
    parse: (word) => (word === 'window' ? { value: undefined } : integer(1, 1024)(word)),
    default: undefined,
    shown: 'window',
  };
  readonly 'network.embedding': Option<number> = {
    flags: '--embedding-output-dimension <n>',
    help: 'features of a block',
    group: model,
    parse: integer(1, 4096),
    default: defaultShape.embedding,
  };
  readonly 'network.units': Option<number> = {
    flags: '--units <n>',
    help: 'cells of each LSTM',
    group: model,
    parse: integer(1, 4096),
    default: defaultShape.units,
  };
  readonly 'network.layers': Option<number> = {
    flags: '--layers <n>',
    help: 'LSTMs',
    group: model,
    parse: integer(1, 16),
    default: defaultShape.layers,
  };
  readonly 'network.dense': Option<number> = {
    flags: '--dense <n>',
    help: 'units of the hidden layer',
    group: model,
    parse: integer(1, 65536),
    default: defaultShape.dense,
  };
  readonly 'network.bidirectional': Option<boolean> = {
    flags: '--bidirectional',
    help: 'read windows in both directions',
    group: model,
    default: defaultShape.bidirectional,
  };
  readonly prior: Option<'ngram' | 'none', LearnOptions> = {
    flags: '--prior <kind>',
    help: "what the network starts from: the n-gram's logits, or none as the ancestor",
    group: model,
    parse: choice('ngram', 'none'),
    // Keras files cannot hold an n-gram.
    default: ({ saveModel }) => (saveModel === undefined ? 'ngram' : 'none'),
    shown: 'ngram; none with --save-model',
  };
  readonly dropout: Option<number> = {
    flags: '--dropout <rate>',
    help: 'share of hidden units left out in training',
    group: training,
    parse: decimal(0, 0.95),
    default: 0.5,
  };
  readonly epochs: Option<number, LearnOptions> = {
    flags: '-e, --epochs <n>',
    help: 'passes over the distinct windows; need not be whole: 0.5 takes half of them',
    group: training,
    parse: decimal(0, 1e5, 'open'),
    default: ({ prior }) => (prior === 'none' ? 16 : 2),
    shown: '2; 16 without a prior',
  };
  readonly batchSize: Option<number> = {
    flags: '-b, --batch-size <n>',
    help: 'windows in a step',
    group: training,
    parse: integer(1, 65536),
    default: 512,
  };
  readonly 'optimizer.kind': Option<OptimizerKind> = {
    flags: '--optimizer <name>',
    help: 'adam with one cycle of the rate, or rmsprop as the ancestor',
    group: training,
    parse: choice('adam', 'rmsprop'),
    default: 'adam',
  };
  readonly 'optimizer.learningRate': Option<number> = {
    flags: '--learning-rate <rate>',
    help: 'largest learning rate',
    group: training,
    parse: decimal(0, 10, 'open'),
    default: 0.001,
  };
  readonly 'optimizer.decay': Option<number> = {
    flags: '--learning-decay <rate>',
    help: 'decay of the rate with each step',
    group: training,
    parse: decimal(0),
    default: 0,
  };
  readonly 'optimizer.schedule': Option<'one-cycle' | 'constant', LearnOptions> = {
    help: 'how the rate goes over the steps',
    default: ({ optimizer }) => (optimizer.kind === 'adam' ? 'one-cycle' : 'constant'),
  };
  readonly 'optimizer.clipNorm': Option<number, LearnOptions> = {
    help: 'largest norm of the gradients of a step; 0 = any',
    default: ({ optimizer }) => (optimizer.kind === 'adam' ? 1 : 0),
  };
  readonly 'weighting.power': Option<number> = {
    flags: '--sampling-power <p>',
    help: 'a window that occurred n times weighs n^p: 1 = every occurrence, 0 = every distinct window alike',
    group: training,
    parse: decimal(0, 1),
    default: 0.5,
  };
  readonly 'weighting.cap': Option<number> = {
    flags: '--sampling-cap <n>',
    help: 'occurrences of a window that count at most; 0 = all',
    group: training,
    parse: integer(0),
    default: 0,
  };
  readonly 'weighting.order': Option<'drawn' | 'shuffled'> = {
    flags: '--sampling <kind>',
    help: 'drawn: windows are drawn by weight; shuffled: each once an epoch, weighted in the loss',
    group: training,
    parse: choice('drawn', 'shuffled'),
    default: 'drawn',
  };
  readonly keepBest: Option<boolean> = {
    flags: '--checkpoint-best',
    help: 'end with the weights of the epoch that had the lowest loss',
    group: training,
    default: false,
  };
  readonly patience: Option<number> = {
    flags: '--patience <n>',
    help: 'epochs without progress after which to stop, keeping the best; 0 = never',
    group: training,
    parse: integer(0),
    default: 0,
  };
  /** Seconds. */
  readonly checkpointSeconds: Option<number> = {
    flags: '--checkpoint <minutes>',
    help: 'time between checkpoints of the training; 0 = none',
    group: training,
    parse: times(60, decimal(0)),
    default: 60,
    shown: '1',
  };
  readonly device: Option<string> = {
    flags: '--device <names>',
    help: 'cpu, webgpu, cuda:N, or several with commas between; each takes a share of every batch',
    group: machine,
    parse: text,
    default: 'cpu',
  };
  readonly workers: Option<number> = {
    flags: '-j, --jobs <n>',
    synonyms: ['threads'],
    help: 'worker threads',
    group: machine,
    parse: integer(1, 256),
    default: () => availableParallelism(),
    shown: 'cores',
  };
  /** Bytes. */
  readonly memoryLimit: Option<number> = {
    flags: '--memory-limit <megabytes>',
    help: 'memory for counted windows; more than that goes to disk',
    group: machine,
    parse: times(2 ** 20, integer(1)),
    default: 2 ** 28,
    shown: '256',
  };
  readonly queueSize: Option<number> = {
    flags: '--queue-size <n>',
    help: 'distinct windows to hold in memory',
    group: machine,
    parse: integer(1),
    default: Number.MAX_SAFE_INTEGER,
    shown: 'what --memory-limit allows',
  };
  readonly useModel: Option<string | undefined> = {
    flags: '--use-model <run>',
    help: 'run folder to use without training, or Keras model.json, trained if it has no weights',
    group: earlier,
    parse: text,
    default: undefined,
  };
  readonly useWeights: Option<string | undefined> = {
    flags: '--use-weights <file>',
    help: 'weights (HDF5) of a Keras model, or for the network that the options describe',
    group: earlier,
    parse: text,
    default: undefined,
  };
  readonly store: Option<string | undefined> = {
    flags: '--store <url>',
    help: "Redis that keeps what is learned, too: --use-model takes it from there by the name of the run's folder",
    group: earlier,
    parse: redisUrl,
    default: undefined,
    isSecret: true,
  };
  readonly resume: Option<string | undefined> = {
    flags: '--resume <run>',
    help: 'go on with an interrupted run and its options',
    group: earlier,
    parse: text,
    default: undefined,
  };
  readonly skipTrain: Option<boolean> = {
    flags: '--skip-train',
    help: 'train nothing: use --use-model or --use-weights',
    group: earlier,
    default: false,
  };
  readonly skipTest: Option<boolean> = {
    flags: '--skip-test',
    help: 'leave out how well unseen benign samples are predicted',
    group: results,
    default: false,
  };
  readonly skipEval: Option<boolean> = {
    flags: '--skip-eval',
    help: 'leave out the evaluations',
    group: results,
    default: false,
  };
  readonly evaluationFormat: Option<'eval' | 'text'> = {
    flags: '--evaluation-format <kind>',
    help: 'eval, or text as the ancestor',
    group: results,
    parse: choice('eval', 'text'),
    default: 'eval',
  };
  readonly evaluationDir: Option<string | undefined> = {
    flags: '--eval-dir <dir>',
    help: 'where evaluations go',
    group: results,
    parse: text,
    default: undefined,
    shown: "the run's folder",
  };
  readonly saveModel: Option<string | undefined> = {
    flags: '--save-model <file>',
    help: 'write the network for Keras (JSON), together with --save-weights',
    group: results,
    parse: outputFile,
    default: undefined,
  };
  readonly saveWeights: Option<string | undefined> = {
    flags: '--save-weights <file>',
    help: 'write its weights for Keras (HDF5)',
    group: results,
    parse: outputFile,
    default: undefined,
  };
  readonly profile: Option<string | undefined> = {
    flags: '--profile <file>',
    help: 'where the profile goes, all that judge needs in one file',
    group: results,
    parse: outputProfile,
    default: undefined,
    shown: "profile.wayward in the run's folder",
  };
  readonly saveOnnx: Option<string | undefined> = {
    flags: '--save-onnx <file>',
    help: 'write the network as an ONNX model',
    group: results,
    parse: outputFile,
    default: undefined,
  };
  readonly out: Option<string> = {
    flags: '-o, --out <dir>',
    help: 'folder in which runs/ is made',
    group: results,
    parse: text,
    default: '.',
  };
}

/** Whether a model of histories can be learned at all. */
export function canTakeHistories({ model, source, vocabulary }: LearnOptions): boolean {
  return model === 'ngram' && source === 'trace' && vocabulary !== 'hash';
}

/** Whether something is asked for that only windows have. */
function saysWindows(asked: LearnOptions): boolean {
  return (
    asked.order !== undefined ||
    asked.smoothing !== 'witten-bell' ||
    asked.windowLength !== defaultShape.windowLength ||
    asked.maxInputClasses !== undefined ||
    asked.maxOutputClasses !== undefined
  );
}

export const learnTable: LearnTable = new LearnTable();

/** All options of `learn`. */
export type LearnOptions = Settled<LearnTable>;

/** What a caller says: the rest is filled in as the command line fills it in. */
export type LearnRequest = Given<LearnTable>;

export function settleLearn(request: LearnRequest): LearnOptions {
  return settle(learnTable, request);
}
