import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { removeQuietly } from '../base/files/folder.ts';
import { type RunContext, silentContext } from '../model/first-layer.ts';
import type { Sample } from '../trace/sample.ts';
import { checkCalibrationSize } from '../verdict/conformal.ts';
import type { Scheduler } from '../workers/scheduler.ts';
import { importPerfFiles } from './import.ts';
import { findSamplesAt } from './judging/find-samples.ts';
import { JudgedRun } from './judging/judged-run.ts';
import { type JudgedSample, Judging, type JudgingOptions } from './judging/judging.ts';
import { type JudgingRequest, usualRate } from './judging/request.ts';
import type { Profile } from './profile/profile.ts';
import { ProfileShelf } from './profile/shelf.ts';
import type { RunFolder } from './run/folder.ts';
import { readKnownPlaces } from './samples/evaluating/known-places.ts';
import type { SkippedSample } from './samples/skipped.ts';
import { openLocal } from './tasks/open-scheduler.ts';

export type { JudgedSample } from './judging/judging.ts';

/**
 * The profile may be a folder of profiles, too. Samples may be `perf.data` files and, with a profile of
 * calls, logs of calls.
 */
export interface JudgeRequest extends JudgingRequest {
  readonly features?: string;
  /** File of transfers that somebody found harmless, see `readKnownPlaces`: they alarm nobody. */
  readonly knownPlaces?: string | undefined;
  /** Processes that evaluate, 1 = this one; by default this one, and for many samples one a core. */
  readonly jobs?: number | undefined;
  /** The run's folder is made in `runs` below it. */
  readonly out?: string;
}

export interface JudgeResult {
  /** What was found is kept there, as `learn` does: `report` and `classify` take it. */
  readonly folder: RunFolder;
  /** With a folder of profiles, one for each that judged something; the first is `folder`. */
  readonly folders: readonly RunFolder[];
  readonly judged: readonly JudgedSample[];
  readonly skipped: readonly SkippedSample[];
}

/**
 * Judges samples with what was learned before. Each is told as soon as it is judged.
 *
 * @param onJudged  takes each sample in the order given
 * @param open  who evaluates, and sees the run's folder; without it, `request.jobs` processes
 * @throws UserError
 */
export async function judge(
  request: JudgeRequest,
  context: RunContext = silentContext,
  onJudged: (sample: JudgedSample) => void = () => {},
  open?: (folder: RunFolder, context: RunContext) => Promise<Scheduler>,
): Promise<JudgeResult> {
  const shelf = await ProfileShelf.open(request.profile);
  try {
    checkCalibrationSize(shelf.calibrating, request.fpr ?? usualRate);
    const { process, preprocessed = false, cpu } = request;
    const source = { source: shelf.source, process, preprocessed, cpu };
    const { samples, binDirs } = await importPerfFiles(request, request.out ?? '.', context);
    const found = await findSamplesAt(samples, binDirs, source, context);
    const jobs = request.jobs ?? usualJobs(found.samples.length);
    const knownPlaces =
      request.knownPlaces === undefined ? [] : await readKnownPlaces(request.knownPlaces);
    const reading = { source, binDirs: found.binDirs, knownPlaces };
    const bench = new Bench({ ...request, jobs }, reading, context, open);
    try {
      if (shelf.only !== undefined) await bench.prepare(await shelf.only);
      const judged: JudgedSample[] = [];
      const skipped = [...found.skipped];
      await inOrder(found.samples, bench, shelf, context, {
        judged: (sample) => {
          judged.push(sample);
          onJudged(sample);
        },
        failed: ({ name }, reason) => {
          context.log.log('warning', `not judged: ${name}: ${reason}`);
          skipped.push({ name, reason });
        },
      });
      const folders = await bench.record(skipped);
      const [folder] = folders;
      if (folder === undefined) throw nothingJudged(skipped);
      return { folder, folders, judged, skipped };
    } finally {
      await bench.close();
    }
  } finally {
    await shelf.close();
  }
}

function nothingJudged([first, ...others]: readonly SkippedSample[]): UserError {
  const why = first === undefined ? '' : `: ${first.name}: ${first.reason}`;
  const more = others.length === 0 ? '' : `, and ${others.length} more`;
  return new UserError('nothing-judged', `not one sample could be judged${why}${more}`, {
    category: 'input',
  });
}

/** Samples for which a process is started: it takes as long as judging a small one or two. */
const samplesPerJob = 4;

function usualJobs(samples: number): number {
  return Math.max(1, Math.min(availableParallelism(), Math.floor(samples / samplesPerJob)));
}

/** Who is told of each sample, in their order. */
interface Listener {
  judged(sample: JudgedSample): void;
  failed(sample: Sample, reason: string): void;
}

/** Samples on their way at once, for each one that is judged at the same time. */
const aheadPerSlot = 2;
/** At a queue nobody knows how many are judged at the same time. */
const aheadAtQueue = 64;

/** Judges samples, as many at a time as can be, and tells of them in their order. */
async function inOrder(
  samples: readonly Sample[],
  bench: Bench,
  shelf: ProfileShelf,
  { signal }: RunContext,
  listener: Listener,
): Promise<void> {
  const ahead = new Map<Sample, Promise<JudgedSample>>();
  let started = 0;
  for (const [index, sample] of samples.entries()) {
    signal?.throwIfAborted();
    const end = Math.min(samples.length, index + aheadPerSlot * bench.width);
    for (; started < end; started++) {
      const next = samples[started];
      const work = shelf.profileFor(next).then((profile) => bench.judge(next, profile));
      // Whoever comes to it sees what went wrong.
      work.catch(() => {});
      ahead.set(next, work);
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

/** What one profile judges: its run's folder, and who judges. */
interface Place {
  readonly run: JudgedRun;
  readonly judging: Judging;
}

/** Where samples are judged: a run's folder for each profile that is needed, and processes for all of them. */
class Bench {
  readonly #request: JudgeRequest & { readonly jobs: number };
  readonly #options: Omit<JudgingOptions, 'out' | 'model'>;
  readonly #context: RunContext;
  readonly #open: ((folder: RunFolder, context: RunContext) => Promise<Scheduler>) | undefined;
  readonly #places: Map<Profile, Promise<Place>> = new Map();
  #scheduler: Promise<Scheduler> | undefined;

  constructor(
    request: JudgeRequest & { readonly jobs: number },
    reading: Pick<JudgingOptions, 'source' | 'binDirs' | 'knownPlaces'>,
    context: RunContext,
    open: ((folder: RunFolder, context: RunContext) => Promise<Scheduler>) | undefined,
  ) {
    const { rawImages = false, fpr = usualRate, features, seed = 1 } = request;
    const { device = 'cpu', timeout, names, factsFolder } = request;
    this.#request = request;
    const judging = { rawImages, fpr, features, seed, device, timeout, names, factsFolder };
    this.#options = { ...reading, ...judging };
    this.#context = context;
    this.#open = open;
  }

  /** How many samples are judged at the same time. */
  get width(): number {
    return this.#open === undefined ? this.#request.jobs : aheadAtQueue;
  }

  /** Makes the run's folder of a profile and loads its model, unless that is done. */
  prepare(profile: Profile): Promise<Place> {
    const place = this.#places.get(profile) ?? this.#make(profile);
    this.#places.set(profile, place);
    return place;
  }

  async judge(sample: Sample, profile: Profile): Promise<JudgedSample> {
    const { run, judging } = await this.prepare(profile);
    const judged = await judging.judge(sample);
    run.judged.push(judged);
    return judged;
  }

  /** @returns the runs' folders, whose records say now what was found; one in which nothing was judged is none */
  async record(skipped: readonly SkippedSample[]): Promise<readonly RunFolder[]> {
    const folders: RunFolder[] = [];
    for (const { run } of await this.#opened()) {
      if (run.judged.length === 0) continue;
      await run.record(skipped);
      folders.push(run.folder);
    }
    return folders;
  }

  /** Removes the runs' folders in which nothing was judged, whatever ended the work. */
  async close(): Promise<void> {
    const places = await this.#opened();
    for (const { judging } of places) await judging.close();
    await this.#scheduler?.then((scheduler) => scheduler.close()).catch(() => {});
    for (const { run } of places) {
      if (run.judged.length === 0) await removeQuietly(run.folder.root);
    }
  }

  /** Each sample of a profile that could not be opened was told why it was not judged. */
  async #opened(): Promise<readonly Place[]> {
    const places = await Promise.allSettled(this.#places.values());
    return places.flatMap((place) => (place.status === 'fulfilled' ? [place.value] : []));
  }

  async #make(profile: Profile): Promise<Place> {
    const run = await JudgedRun.make(resolve(this.#request.out ?? '.'), profile, this.#options);
    try {
      return { run, judging: await this.#openJudging(run, profile) };
    } catch (error) {
      await removeQuietly(run.folder.root);
      throw error;
    }
  }

  async #openJudging(run: JudgedRun, profile: Profile): Promise<Judging> {
    const out = run.folder.evaluation;
    const { jobs } = this.#request;
    if (this.#open === undefined && jobs === 1) {
      return Judging.open(profile, { ...this.#options, out }, this.#context);
    }
    const model = this.#open === undefined ? undefined : await run.shareModel();
    this.#scheduler ??=
      this.#open?.(run.folder, this.#context) ?? Promise.resolve(openLocal(jobs, this.#context));
    const options = { ...this.#options, out, model };
    return Judging.open(profile, options, this.#context, await this.#scheduler);
  }
}
