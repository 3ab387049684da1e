import { createHash } from 'node:crypto';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { makeFolder, makeWorkFolder, removeAll, removeQuietly } from '../base/files/folder.ts';
import { copyWholeFile } from '../base/files/write.ts';
import { version } from '../base/version.ts';
import type { RunContext } from '../model/first-layer.ts';
import { checkCalibrationSize } from '../verdict/conformal.ts';
import type { Scheduler } from '../workers/scheduler.ts';
import { defaultJudging } from './classify.ts';
import type { JudgeRequest } from './judge.ts';
import { JudgedRun } from './judging/judged-run.ts';
import { type JudgedSample, Judging, type JudgingOptions } from './judging/judging.ts';
import { usualRate } from './judging/request.ts';
import { type VerdictFacts, watchSamples } from './judging/watch-samples.ts';
import { openProfile, type Profile } from './profile/profile.ts';
import { type RunFolder, readRunRecord, runFolder } from './run/folder.ts';
import { readKnownPlaces } from './samples/evaluating/known-places.ts';
import { layoutOf } from './samples/layout.ts';
import { readSourceSample } from './samples/source.ts';
import { openLocal } from './tasks/open-scheduler.ts';

export interface JudgeFolderRequest extends Omit<JudgeRequest, 'samples'> {
  /** Folder in which samples appear, or a root with `traces`. */
  readonly folder: string;
  /** A sample is complete when nothing in it has changed for so many seconds. */
  readonly settleSeconds?: number;
  /** End when all that is there is judged. */
  readonly once?: boolean;
  /** End when nothing came for so many seconds; by default never. */
  readonly idleSeconds?: number | undefined;
}

/** Where a profile's verdicts on a folder are kept, whatever ended the process that made them. */
export function homeOf({ profile, folder, out = '.' }: JudgeFolderRequest): RunFolder {
  const key = `${resolve(profile)}\n${resolve(folder)}`;
  const sum = createHash('sha256').update(key).digest('hex').slice(0, 8);
  return runFolder(join(resolve(out), 'runs', `watch-${basename(resolve(folder))}-${sum}`));
}

/**
 * Judges samples as they appear in a folder, each exactly once, over restarts and kills, too. An alarm has a page.
 *
 * @param show  takes each line of JSON, in the order of their numbers, and has shown it when it returns
 * @param open  who evaluates, and sees the run's folder; without it, `request.jobs` processes
 * @param lastShown  the line that was shown last, when that can be looked up
 * @throws UserError
 */
export async function judgeFolder(
  request: JudgeFolderRequest,
  context: RunContext,
  show: (line: string) => void,
  open?: (folder: RunFolder, context: RunContext) => Promise<Scheduler>,
  lastShown?: string,
): Promise<{ readonly folder: RunFolder; readonly judged: number }> {
  const profile = await openProfile(request.profile);
  try {
    const { fpr = usualRate, binDirs = [], settleSeconds = 2, once = false, idleSeconds } = request;
    checkCalibrationSize(profile.calibration.length, fpr);
    const home = homeOf(request);
    const layout = layoutOf(request.folder, binDirs);
    const known =
      request.knownPlaces === undefined ? [] : await readKnownPlaces(request.knownPlaces);
    const options = { ...optionsOf(request, profile, layout.binDirs), knownPlaces: known };
    await removeOldEvaluations(home, profile);
    const run = await JudgedRun.at(home, profile, options);
    const model = await run.shareModel();
    const scheduler =
      (await open?.(home, context)) ?? openLocal(Math.max(1, request.jobs ?? 1), context);
    try {
      const out = home.evaluation;
      const judging = await Judging.open(profile, { ...options, out, model }, context, scheduler);
      const page = (sample: JudgedSample): Promise<string> =>
        writeAlarmPage(sample, home, profile, options, context);
      const judge = (directory: string): Promise<VerdictFacts | undefined> =>
        judgeOne(directory, judging, page, { ...options, context });
      const { source } = options;
      try {
        const watched = { ...source, folder: layout.samples, home: join(home.root, 'watch') };
        const ends = { settleSeconds, once, idleSeconds, width: scheduler.width };
        const done = await watchSamples({ ...watched, ...ends }, judge, context, show, lastShown);
        return { folder: home, ...done };
      } finally {
        await judging.close();
      }
    } finally {
      await scheduler.close();
    }
  } finally {
    await profile.close();
  }
}

function optionsOf(
  request: JudgeFolderRequest,
  { facts }: Profile,
  binDirs: readonly string[],
): Omit<JudgingOptions, 'out' | 'model'> {
  const { process, preprocessed = false, cpu, rawImages = false, fpr = usualRate } = request;
  const { features, seed = 1, device = 'cpu', timeout, names } = request;
  const source = { source: facts.source, process, preprocessed, cpu };
  return { source, binDirs, rawImages, fpr, features, seed, device, timeout, names };
}

/** Evaluations of two models do not mix: those by the profile as it was go. Their verdicts stay in the journal. */
async function removeOldEvaluations(home: RunFolder, { calibration }: Profile): Promise<void> {
  const before = (await readRunRecord(home))?.options.model;
  if (before !== undefined && before !== calibration[0]?.model) await removeAll(home.evaluation);
}

/**
 * @param writePage  writes the page of an alarm and gives its path
 * @returns what is told of a sample; `undefined` when it broke off
 */
async function judgeOne(
  directory: string,
  judging: Judging,
  writePage: (sample: JudgedSample) => Promise<string>,
  { source, context }: Pick<JudgingOptions, 'source'> & { readonly context: RunContext },
): Promise<VerdictFacts | undefined> {
  try {
    const sample = await readSourceSample(directory, source);
    const judged = await judging.judge(sample);
    // The journal has its own name and folder; the alarm's page has the places.
    const { name: _, directory: __, evaluation: ___, detail: ____, ...facts } = judged;
    return judged.verdict === 'nominal' ? facts : { ...facts, page: await writePage(judged) };
  } catch (error) {
    if (context.signal?.aborted === true) return undefined;
    if (!(error instanceof UserError)) throw error;
    return { verdict: null, error: error.message };
  }
}

/** Writes the page of one alarm. What was judged beside it costs nothing: the page is made in a folder without it. */
async function writeAlarmPage(
  { name, evaluation }: JudgedSample,
  home: RunFolder,
  profile: Profile,
  options: Omit<JudgingOptions, 'out' | 'model'>,
  context: RunContext,
): Promise<string> {
  const page = join(home.root, 'alarms', `${basename(evaluation, '.eval')}.html`);
  const work = runFolder(await makeWorkFolder('wayward-alarm-'));
  try {
    await JudgedRun.at(work, profile, options);
    await copyWholeFile(join(home.evaluation, evaluation), join(work.evaluation, evaluation));
    await makeFolder(join(home.root, 'alarms'));
    // Loaded at the first alarm: most runs have none.
    const { report } = await import('./report.ts');
    await report(
      {
        ...{ ...defaultJudging, path: work.root, fpr: options.fpr, version, names: options.names },
        ...{ output: page, only: name, detailed: 1, patches: 5, pictures: undefined },
      },
      { ...context, progress: () => {} },
    );
    return page;
  } finally {
    await removeQuietly(work.root);
  }
}
