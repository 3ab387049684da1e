import { resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { readRunRecord, runFolder } from '../run/folder.ts';
import { layoutOf } from '../samples/layout.ts';
import { canTakeHistories, type LearnOptions, type LearnRequest, settleLearn } from './options.ts';

/**
 * Fills in what was not said, or takes what an interrupted run was told, and refuses what contradicts
 * itself. Paths become absolute, so that the run's record holds wherever it is read.
 *
 * @throws UserError
 */
export async function checkLearn(request: LearnRequest): Promise<LearnOptions> {
  const asked = settleLearn(request);
  if (asked.resume !== undefined) return optionsOfRun(asked, asked.resume);
  const problem = problems.find(({ holds }) => holds(asked));
  if (problem !== undefined) {
    const { code, message } = problem;
    const text = typeof message === 'string' ? message : message(asked);
    throw new UserError(code, text, { category: 'arguments' });
  }
  const layout = layoutOf(asked.root, asked.binDirs);
  return {
    ...asked,
    root: layout.samples,
    binDirs: layout.binDirs,
  };
}

/** What cannot be met, the first that holds. */
const problems: readonly {
  readonly code: string;
  readonly holds: (asked: LearnOptions) => boolean;
  readonly message: string | ((asked: LearnOptions) => string);
}[] = [
  {
    code: 'no-root',
    holds: ({ root }) => root === '',
    message: 'learn needs the folder of the samples, or --resume',
  },
  {
    code: 'prior-unsmoothed',
    holds: ({ smoothing, model, prior }) =>
      smoothing === 'none' && model === 'lstm' && prior === 'ngram',
    message:
      '--smoothing none leaves a network nothing to add to: choose another, --prior none, or --model ngram',
  },
  {
    code: 'order-too-long',
    holds: ({ order, windowLength }) => order !== undefined && order > windowLength,
    message: ({ order, windowLength }) =>
      `--order ${order} is longer than the windows, which have ${windowLength} blocks`,
  },
  {
    code: 'histories-of-windows',
    holds: (asked) => asked.context === 'histories' && !canTakeHistories(asked),
    message:
      'a network, calls and hashed classes take windows: leave --context histories out, or choose --model ngram',
  },
  {
    code: 'mixing-of-windows',
    holds: ({ mixing, context }) => mixing === 'network' && context !== 'histories',
    message:
      '--mixing network corrects what histories say: leave it out, or choose --context histories',
  },
  {
    code: 'keras-half',
    holds: ({ saveModel, saveWeights }) =>
      (saveModel === undefined) !== (saveWeights === undefined),
    message: '--save-model and --save-weights go together',
  },
  {
    code: 'keras-prior',
    holds: ({ saveModel, prior }) => saveModel !== undefined && prior !== 'none',
    message: 'a Keras model cannot hold the n-gram: add --prior none',
  },
  {
    code: 'no-filter',
    holds: ({ filter, source }) => filter.length === 0 && source === 'trace',
    message: 'every kind of transfer is left out: nothing is to be predicted',
  },
];

/** An interrupted run goes on as it was told, on the machine as it is now. */
async function optionsOfRun(asked: LearnOptions, resume: string): Promise<LearnOptions> {
  const folder = runFolder(resolve(resume));
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
  // A run of an earlier release says nothing of options that came later: their defaults hold.
  const options = settleLearn(record.options as LearnRequest);
  const { workers, device } = asked;
  return { ...options, inputSets: folder.sets, resume, workers, device };
}
