import { join } from 'node:path';
import { UserError } from '../base/errors.ts';
import { isThere } from '../base/files/exists.ts';
import { readWholeFile } from '../base/files/read.ts';
import { isRecord, isTexts, recordOf } from '../base/values.ts';
import { version } from '../base/version.ts';
import type { RunContext } from '../model/first-layer.ts';
import { writeSets } from '../trace/sets-file.ts';
import { type ClassifyResult, defaultJudging } from './classify.ts';
import { type LearnResult, learn } from './learn.ts';
import { report } from './report.ts';
import { type LearnRequest, settleLearn } from './training/options.ts';

/** A folder of recordings that the demonstration can use. */
export interface DemoCorpus {
  /** Holds `traces/`, `bin/` and `split.json`. */
  readonly root: string;
}

export interface DemoOptions {
  readonly corpus: DemoCorpus;
  readonly trainSize: number;
  readonly calibrationSize: number;
  readonly fpr: number;
  /** All that `learn` takes but the samples. */
  readonly learn: Omit<LearnRequest, 'root' | 'binDirs' | 'inputSets' | 'outputSets'>;
}

export interface DemoResult {
  readonly corpus: DemoCorpus;
  readonly learned: LearnResult;
  readonly judged: ClassifyResult;
  readonly page: string;
}

/** @throws UserError `no-recordings` when the folder holds no corpus */
export function findDemoCorpus(root: string): DemoCorpus {
  if (isThere(join(root, 'split.json'))) return { root };
  throw new UserError('no-recordings', 'holds no recordings to show this on: no split.json', {
    category: 'unavailable',
    path: root,
  });
}

/** Names of the samples of a corpus by their part in it. */
interface Split {
  readonly train: readonly string[];
  readonly test: readonly string[];
  readonly controls: readonly string[];
  readonly attacks: readonly string[];
}

/**
 * The main job on a corpus that comes with its own split: learn, evaluate, judge, write the page.
 *
 * @throws UserError
 */
export async function demo(options: DemoOptions, context: RunContext): Promise<DemoResult> {
  const { root } = options.corpus;
  const split = await readSplit(join(root, 'split.json'));
  const folders = (names: readonly string[]): string[] =>
    names.map((name) => join(root, 'traces', name));
  const { trainSize, calibrationSize } = options;
  const { out, seed } = settleLearn(options.learn);
  const setsFile = join(out, 'runs', 'demo-sets.txt');
  await writeSets(setsFile, {
    train: folders(split.train.slice(0, trainSize)),
    calibrate: folders(split.train.slice(trainSize, trainSize + calibrationSize)),
    testNominal: folders([...split.test, ...split.controls]),
    testAnomalous: folders(split.attacks),
  });
  const learned = await learn(
    {
      ...options.learn,
      root: join(root, 'traces'),
      binDirs: [join(root, 'bin')],
      inputSets: setsFile,
    },
    context,
  );
  const page = join(learned.folder.root, 'report.html');
  const judged = await report(
    {
      ...defaultJudging,
      path: learned.folder.root,
      fpr: options.fpr,
      seed,
      version,
      output: page,
      detailed: 25,
      patches: 5,
      pictures: undefined,
    },
    context,
  );
  return { corpus: options.corpus, learned, judged, page };
}

async function readSplit(path: string): Promise<Split> {
  const value: unknown = JSON.parse((await readWholeFile(path)).toString('utf8'));
  const listOf = (key: keyof Split): readonly string[] => {
    const list = isRecord(value) ? value[key] : undefined;
    if (isTexts(list)) return list;
    throw new UserError('split-damaged', 'lacks a list of samples', { category: 'input', path });
  };
  return recordOf(['train', 'test', 'controls', 'attacks'], listOf);
}
