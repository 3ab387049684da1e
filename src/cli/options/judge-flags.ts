import { choice, decimal, integer, text } from '../../base/options/option.ts';
import { version } from '../../base/version.ts';
import type { ClassifyOptions } from '../../commands/classify.ts';
import { outputFile } from '../../commands/samples/output-file.ts';
import type { OptionSpec } from '../frame/option.ts';
import { debugDirsOption, namesOf } from './name-flags.ts';

/** Options of `classify` and `report` that say how traces are judged. */
export interface JudgeOptions
  extends Omit<ClassifyOptions, 'path' | 'version' | 'names' | 'force'> {
  readonly zeroFpr: boolean;
  readonly debugDir: readonly string[] | undefined;
}

export const judgeOptions: readonly OptionSpec[] = [
  {
    flags: '--method <kind>',
    help: 'nominal: a threshold from benign traces alone; labelled: a linear SVM on labelled ones',
    parse: choice('nominal', 'labelled'),
    default: 'nominal',
  },
  {
    flags: '--fpr <rate>',
    help: 'false-positive rate to accept',
    parse: decimal(0, 1, 'open'),
    default: 0.05,
  },
  {
    flags: '--features <list>',
    help: 'all, first-layer, calls, classic, or names separated by commas [nominal: all, for logs of calls: calls; labelled: classic]',
    parse: text,
  },
  {
    flags: '--seed <n>',
    help: 'fixes folds and permutations',
    parse: integer(0, 4294967295),
    default: 1,
  },
  {
    flags: '--zero-fpr',
    help: 'labelled: no false positives on the traces that make the classifier',
  },
  {
    flags: '--cost <c>',
    help: "labelled: LIBSVM's C",
    parse: decimal(0, 1e12, 'open'),
    default: 1,
  },
  {
    flags: '--folds <n>',
    help: 'labelled: folds of the cross-validation',
    parse: integer(2, 1000),
    default: 10,
  },
  { flags: '--save <file>', help: 'labelled: write the classifier', parse: outputFile },
  {
    flags: '--load <file>',
    help: 'labelled: use a classifier instead of fitting one',
    parse: text,
  },
  {
    flags: '--ignore-cache',
    help: 'compute features anew, though the evaluations hold them',
  },
  debugDirsOption,
];

export function toClassifyOptions(path: string, o: JudgeOptions): ClassifyOptions {
  return {
    path,
    method: o.save !== undefined || o.load !== undefined || o.zeroFpr ? 'labelled' : o.method,
    fpr: o.fpr,
    features: o.features,
    seed: o.seed,
    force: o.zeroFpr,
    cost: o.cost,
    folds: o.folds,
    save: o.save,
    load: o.load,
    ignoreCache: o.ignoreCache,
    version,
    names: namesOf(o.debugDir),
  };
}
