import { resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { copyWholeFile, makeFolder } from '../base/files.ts';
import { version } from '../base/version.ts';
import { type RunContext, silentContext } from '../model/first-layer.ts';
import type { NameSourceOptions } from '../names/name-sources.ts';
import type { Sample } from '../trace/sample.ts';
import { checkCalibrationSize } from '../verdict/conformal.ts';
import { writeCalibration } from '../verdict/left-out.ts';
import { findSamplesAt } from './judging/find-samples.ts';
import { type JudgedSample, Judging } from './judging/judging.ts';
import { openProfile, type Profile } from './profile/profile.ts';
import { makeRunFolder, type RunFolder, writeRunRecord } from './run/folder.ts';
import type { SkippedSample } from './samples/skipped.ts';
import type { SampleSource } from './samples/source.ts';

export type { JudgedSample } from './judging/judging.ts';

export interface JudgeRequest {
  /** File of a profile, or the folder of the run that learned it. */
  readonly profile: string;
  /** Samples, or folders of them. */
  readonly samples: readonly string[];
  /** Folders of executables and libraries; empty: `bin` beside the samples' `traces`. */
  readonly binDirs?: readonly string[];
  readonly rawImages?: boolean;
  /** Number or name of the process that counts, where a map or report holds several. */
  readonly process?: string | undefined;
  readonly preprocessed?: boolean;
  readonly cpu?: string | undefined;
  /** Share of nominal runs that may be flagged. */
  readonly fpr?: number;
  readonly features?: string;
  readonly seed?: number;
  readonly device?: string;
  readonly timeout?: number | undefined;
  /** Where else names come from than the images. */
  readonly names?: NameSourceOptions | undefined;
  /** The run's folder is made in `runs` below it. */
  readonly out?: string;
}

export interface JudgeResult {
  /** What was found is kept there, as `learn` does: `report` and `classify` take it. */
  readonly folder: RunFolder;
  readonly judged: readonly JudgedSample[];
  readonly skipped: readonly SkippedSample[];
}

/**
 * Judges samples with what was learned before. Each is told as soon as it is judged.
 *
 * @param onJudged  takes each sample in the order given
 * @throws UserError
 */
export async function judge(
  request: JudgeRequest,
  context: RunContext = silentContext,
  onJudged: (sample: JudgedSample) => void = () => {},
): Promise<JudgeResult> {
  const profile = await openProfile(request.profile);
  try {
    checkCalibrationSize(profile.calibration.length, request.fpr ?? usualRate);
    const source = sourceOf(request, profile);
    const found = await findSamplesAt(request.samples, request.binDirs ?? [], source, context);
    const run = await JudgedRun.open(request, profile, found.binDirs);
    const judging = await Judging.open(profile, run.options, context);
    const judged: JudgedSample[] = [];
    const skipped = [...found.skipped];
    try {
      await inOrder(found.samples, judging, context, {
        judged: (sample) => {
          judged.push(sample);
          onJudged(sample);
        },
        failed: ({ name }, reason) => {
          context.log.log('warning', `not judged: ${name}: ${reason}`);
          skipped.push({ name, reason });
        },
      });
    } finally {
      await judging.close();
    }
    await run.record({ judged, skipped });
    return { folder: run.folder, judged, skipped };
  } finally {
    await profile.close();
  }
}

const usualRate = 0.05;

function sourceOf(request: JudgeRequest, { facts }: Profile): SampleSource {
  const { process, preprocessed = false, cpu } = request;
  return { source: facts.source, process, preprocessed, cpu };
}

/** Who is told of each sample, in their order. */
interface Listener {
  judged(sample: JudgedSample): void;
  failed(sample: Sample, reason: string): void;
}

/** Judges samples, as many at a time as can be, and tells of them in their order. */
async function inOrder(
  samples: readonly Sample[],
  judging: Judging,
  { signal }: RunContext,
  listener: Listener,
): Promise<void> {
  const ahead = new Map<Sample, Promise<JudgedSample>>();
  let started = 0;
  for (const [index, sample] of samples.entries()) {
    signal?.throwIfAborted();
    for (; started < Math.min(samples.length, index + 2 * judging.width); started++) {
      const work = judging.judge(samples[started]);
      // Whoever comes to it sees what went wrong.
      work.catch(() => {});
      ahead.set(samples[started], work);
    }
    try {
      const work = ahead.get(sample);
      if (work !== undefined) listener.judged(await work);
    } catch (error) {
      if (!(error instanceof UserError) || error.category === 'interrupted') throw error;
      listener.failed(sample, error.message);
    }
    ahead.delete(sample);
  }
}

/** The run's folder, which `report` and `classify` can read by itself. */
class JudgedRun {
  readonly folder: RunFolder;
  readonly #request: JudgeRequest;
  readonly #profile: Profile;
  readonly #binDirs: readonly string[];
  readonly #started = new Date().toISOString();

  private constructor(
    folder: RunFolder,
    request: JudgeRequest,
    profile: Profile,
    binDirs: readonly string[],
  ) {
    this.folder = folder;
    this.#request = request;
    this.#profile = profile;
    this.#binDirs = binDirs;
  }

  static async open(
    request: JudgeRequest,
    profile: Profile,
    binDirs: readonly string[],
  ): Promise<JudgedRun> {
    const folder = await makeRunFolder(resolve(request.out ?? '.'));
    await makeFolder(folder.evaluation);
    await writeCalibration(folder.evaluation, profile.calibration);
    const vocabulary = `${profile.folder.vocabulary}.json.gz`;
    await copyWholeFile(vocabulary, `${folder.vocabulary}.json.gz`);
    const run = new JudgedRun(folder, request, profile, binDirs);
    await run.record(undefined);
    return run;
  }

  get options() {
    const { rawImages = false, fpr = usualRate, features, seed = 1 } = this.#request;
    const { device = 'cpu', timeout, names } = this.#request;
    return {
      ...{ source: sourceOf(this.#request, this.#profile), binDirs: this.#binDirs, rawImages },
      ...{ fpr, features, seed, device, timeout, names, out: this.folder.evaluation },
    };
  }

  async record(result: Pick<JudgeResult, 'judged' | 'skipped'> | undefined): Promise<void> {
    const { source, binDirs, rawImages, fpr } = this.options;
    await writeRunRecord(this.folder, {
      schemaVersion: 1,
      wayward: version,
      node: process.version,
      started: this.#started,
      finished: result === undefined ? undefined : new Date().toISOString(),
      options: {
        ...{ ...source, binDirs, rawImages, fpr },
        ...{ command: 'judge', profile: this.#profile.path, evaluationDir: undefined },
      },
      sets: { testNominal: result?.judged.map(({ name }) => name) ?? [] },
      result: { ...result },
    });
  }
}
