import { join } from 'node:path';
import { isAbsent, UserError } from '../base/errors.ts';
import { makeFolder, makeWorkFolder, removeQuietly } from '../base/files/folder.ts';
import { readWholeFile } from '../base/files/read.ts';
import { ImageStore } from '../image/image-store.ts';
import { type RunContext, silentContext } from '../model/first-layer.ts';
import type { Sample } from '../trace/sample.ts';
import { classifyNominal } from '../verdict/classify-nominal.ts';
import { readTraceFeatures } from '../verdict/features/stored-features.ts';
import { featuresOfLeftOut, leftOutOf } from '../verdict/left-out.ts';
import { findSamplesAt } from './judging/find-samples.ts';
import { type JudgedSample, Judging, type JudgingOptions } from './judging/judging.ts';
import { type JudgingRequest, usualRate } from './judging/request.ts';
import { changedImages, identifyImages } from './profile/image-identities.ts';
import { nextPath } from './profile/next-path.ts';
import { openProfile, type Profile, partsOf, writeProfile } from './profile/profile.ts';
import { runFolder } from './run/folder.ts';
import { loadTrained, runsName, saveTrained } from './run/trained.ts';
import { findVocabulary } from './run/vocabulary.ts';
import { writeFunctions } from './samples/evaluating/earlier-builds.ts';
import { identityOf, modelIdentity } from './samples/evaluating/evaluate.ts';
import type { SkippedSample } from './samples/skipped.ts';
import { sourceFilter } from './samples/source.ts';
import { type TrainingRun, unpackTrainingRuns } from './training/events/training-runs.ts';
import { HistoryTraining, mixingOf } from './training/history-training.ts';
import { readEvents } from './training/train-histories.ts';

/** The samples are harmless; what is told before and after holds for `fpr`. */
export interface AcceptRequest extends JudgingRequest {
  /** File of the new profile; the old one only if it is named here. By default a new name beside it. */
  readonly output?: string | undefined;
  /** Kept with the samples, for whoever asks later why they count as harmless. */
  readonly reason?: string | undefined;
}

/** What a profile knows, and how it judges. */
export interface ProfileState {
  /** Runs that trained, and runs that calibrate. */
  readonly trained: number;
  readonly calibrating: number;
  /** Blocks of training, places that transfers went to, and transfers from one to the other. */
  readonly blocks: number;
  readonly targets: number;
  readonly transfers: number;
  /** Score above which a run is anomalous. */
  readonly threshold: number;
}

/** How one of the runs was judged before, and how the same run would be judged now. */
export interface AcceptedSample {
  readonly name: string;
  readonly directory: string;
  readonly before: Pick<JudgedSample, 'verdict' | 'pValue' | 'place'>;
  readonly after: Pick<JudgedSample, 'verdict' | 'pValue' | 'place'>;
}

export interface AcceptResult {
  /** The new profile. */
  readonly profile: string;
  /** Whether the runs were learned from, or calibrate only, because the model cannot learn from more runs. */
  readonly use: 'training and calibration' | 'calibration';
  readonly accepted: readonly AcceptedSample[];
  readonly skipped: readonly SkippedSample[];
  readonly before: ProfileState;
  readonly after: ProfileState;
}

/**
 * Takes harmless runs into a profile and writes a new one. A model of histories learns from them, as if they had
 * been among its training runs from the beginning; with other models they calibrate only.
 *
 * @throws UserError
 */
export async function accept(
  request: AcceptRequest,
  context: RunContext = silentContext,
): Promise<AcceptResult> {
  const profile = await openProfile(request.profile);
  const work = await makeWorkFolder('wayward-accept-');
  try {
    return await partsOf(profile, () => acceptInto(profile, request, work, context));
  } finally {
    await profile.close();
    await removeQuietly(work);
  }
}

/** @param work  folder for what is judged and learned on the way */
async function acceptInto(
  profile: Profile,
  request: AcceptRequest,
  work: string,
  context: RunContext,
): Promise<AcceptResult> {
  const accepting = await Accepting.open(request, profile, work, context);
  const before = await accepting.judge(profile);
  const samples = accepting.samples.filter(({ name }) => before.has(name));
  if (samples.length === 0) {
    throw new UserError('nothing-accepted', 'not one of the samples could be read', {
      category: 'input',
    });
  }
  const path = request.output ?? nextPath(profile.path);
  const use = await accepting.write(path, samples);
  const renewed = await openProfile(path);
  try {
    const after = await accepting.judge(renewed);
    return {
      ...{ profile: path, use, skipped: accepting.skipped },
      accepted: samples.flatMap(({ name, directory }): AcceptedSample[] => {
        const [was, is] = [before.get(name), after.get(name)];
        return was === undefined || is === undefined
          ? []
          : [{ name, directory, before: verdictOf(was), after: verdictOf(is) }];
      }),
      before: await stateOf(profile, request),
      after: await stateOf(renewed, request),
    };
  } finally {
    await renewed.close();
  }
}

function verdictOf({ verdict, pValue, place }: JudgedSample): AcceptedSample['before'] {
  return { verdict, pValue, place };
}

async function stateOf(
  { folder, facts, calibration }: Profile,
  { fpr = usualRate, seed = 1 }: AcceptRequest,
): Promise<ProfileState> {
  const vocabulary = await findVocabulary(folder);
  const features = facts.source === 'trace' ? 'all' : 'calls';
  return {
    trained: facts.trained,
    calibrating: facts.calibrating,
    blocks: vocabulary?.blocks ?? 0,
    targets: Math.max(0, (vocabulary?.outputClasses ?? 1) - 1),
    transfers: vocabulary?.transfers ?? 0,
    threshold: classifyNominal(calibration, { fpr, seed, features }).threshold,
  };
}

/** The runs that are accepted, on their way into a profile. */
class Accepting {
  readonly samples: readonly Sample[];
  readonly skipped: SkippedSample[];
  readonly #request: AcceptRequest;
  readonly #profile: Profile;
  readonly #options: Omit<JudgingOptions, 'out'>;
  readonly #work: string;
  readonly #context: RunContext;
  /** Runs that the model learned from; `undefined` where it cannot be learned anew. */
  readonly #runs: KeptRuns | undefined;

  private constructor(
    request: AcceptRequest,
    profile: Profile,
    found: { readonly samples: readonly Sample[]; readonly skipped: SkippedSample[] },
    options: Omit<JudgingOptions, 'out'>,
    runs: KeptRuns | undefined,
    work: string,
    context: RunContext,
  ) {
    this.samples = found.samples;
    this.skipped = found.skipped;
    this.#request = request;
    this.#profile = profile;
    this.#options = options;
    this.#runs = runs;
    this.#work = work;
    this.#context = context;
  }

  static async open(
    request: AcceptRequest,
    profile: Profile,
    work: string,
    context: RunContext,
  ): Promise<Accepting> {
    const { process, preprocessed = false, cpu, rawImages = false } = request;
    const { fpr = usualRate, seed = 1, device = 'cpu', timeout, factsFolder } = request;
    const source = { source: profile.facts.source, process, preprocessed, cpu };
    const found = await findSamplesAt(request.samples, request.binDirs ?? [], source, context);
    const harmful = found.samples.find(({ label }) => label === 'anomalous');
    if (harmful !== undefined) {
      throw new UserError('accepted-anomalous', 'is labelled malicious: it is not accepted', {
        category: 'input',
        path: harmful.directory,
      });
    }
    const changed = await changedImages(
      profile.facts.images,
      new ImageStore(found.binDirs, { rawImages }),
    );
    if (changed.length > 0) {
      throw new UserError(
        'images-changed',
        `the samples ran other builds than those that were learned (${changed.slice(0, 5).join(', ')}): two builds do not mix in a profile; record and learn the new ones`,
        { category: 'input', path: profile.path },
      );
    }
    const runs = await keptRunsOf(profile);
    const learned = new Set<string>();
    for (const { sample } of runs?.() ?? []) learned.add(sample.directory);
    const samples: Sample[] = [];
    const skipped = [...found.skipped];
    for (const sample of found.samples) {
      if (learned.has(sample.directory)) {
        const reason = `${sample.directory} is one of the runs that it was learned from`;
        context.log.log('warning', `left out: ${reason}`);
        skipped.push({ name: sample.name, reason });
      } else samples.push(sample);
    }
    const { binDirs } = found;
    const options = { source, binDirs, rawImages, fpr, seed, device, timeout, factsFolder };
    return new Accepting(
      request,
      profile,
      { samples, skipped },
      { ...options, features: undefined, names: request.names },
      runs,
      work,
      context,
    );
  }

  /** @returns what a profile says of each sample that can be read, by name */
  async judge(profile: Profile): Promise<ReadonlyMap<string, JudgedSample>> {
    const out = this.#evaluationsBy(profile);
    await makeFolder(out);
    const judging = await Judging.open(profile, { ...this.#options, out }, this.#context);
    const judged = new Map<string, JudgedSample>();
    try {
      for (const [done, sample] of this.samples.entries()) {
        this.#context.signal?.throwIfAborted();
        const total = this.samples.length;
        this.#context.progress({ step: 'judging', done, total, unit: 'traces' });
        try {
          judged.set(sample.name, await judging.judge(sample));
        } catch (error) {
          if (!(error instanceof UserError) || error.category === 'interrupted') throw error;
          this.#leaveOut(sample, error.message);
        }
      }
    } finally {
      await judging.close();
    }
    return judged;
  }

  /** Writes the new profile. */
  async write(path: string, samples: readonly Sample[]): Promise<AcceptResult['use']> {
    const { facts, folder, calibration } = this.#profile;
    const { reason } = this.#request;
    const date = new Date().toISOString().slice(0, 10);
    const noted = samples.map(({ name, directory }) => ({ name, directory, date, reason }));
    const accepted = [...(facts.accepted ?? []), ...noted];
    if (this.#runs === undefined) {
      const features = await readTraceFeatures(this.#evaluationsBy(this.#profile));
      const own = features.evaluations.map(({ sample, ...rest }) => ({
        ...rest,
        sample: { ...sample, label: 'nominal' as const, role: 'calibration' as const },
      }));
      await writeProfile(path, folder, { ...facts, accepted }, [...calibration, ...own]);
      return 'calibration';
    }
    const learned = await this.#learn(this.#runs, samples);
    await writeProfile(
      path,
      learned.folder,
      {
        ...{ programs: facts.programs, source: facts.source, windowLength: facts.windowLength },
        ...{ trained: learned.trained, images: learned.images, accepted },
      },
      learned.calibration,
    );
    return 'training and calibration';
  }

  /** Learns anew from the runs that the profile knows, and from the samples behind them. */
  async #learn(runs: KeptRuns, samples: readonly Sample[]) {
    const { folder, facts } = this.#profile;
    const { binDirs, rawImages, source, timeout, device } = this.#options;
    const { log, progress } = this.#context;
    progress({ step: 'learning', done: 0, total: facts.trained + samples.length, unit: 'traces' });
    const old = await loadTrained(folder.root, { workers: 1, device, seed: 0 });
    const training = new HistoryTraining();
    for (const run of runs()) training.add(run);
    const setup = {
      ...{ binDirs, rawImages, preprocessed: source.preprocessed, process: source.process },
      ...{ filter: sourceFilter(source.source, old.filter), timeout },
    };
    await readEvents(samples, setup, 1, this.#context, undefined, (job, message) => {
      const sample: Sample = { ...samples[job], label: 'nominal' };
      if ('reason' in message) log.log('warning', `left out: ${message.reason}`);
      else training.add({ sample: identityOf(sample, 'training'), ...message });
    });
    const { trained, summary, leftOut: evaluations } = training.finish(mixingOf(old));
    const leftOut = leftOutOf(modelIdentity(trained), evaluations());
    const renewed = runFolder(join(this.#work, 'model'));
    await makeFolder(renewed.model);
    await saveTrained(renewed, { ...trained, leftOut }, old.filter);
    const images = new ImageStore(binDirs, { rawImages });
    await writeFunctions(renewed.model, trained.vocabulary, images);
    const known = new Set(facts.images.map(({ name }) => name));
    const modules = trained.vocabulary.modules.filter((name) => !known.has(name));
    return {
      folder: renewed,
      trained: summary.traces,
      calibration: featuresOfLeftOut(leftOut),
      images: [...facts.images, ...(await identifyImages(modules, images))],
    };
  }

  #evaluationsBy({ facts }: Profile): string {
    return join(this.#work, facts === this.#profile.facts ? 'before' : 'after');
  }

  #leaveOut({ name }: Sample, reason: string): void {
    if (this.skipped.some((item) => item.name === name)) return;
    this.#context.log.log('warning', `left out: ${name}: ${reason}`);
    this.skipped.push({ name, reason });
  }
}

/** Unpacks them anew each time: a thousand runs do not fit into memory. */
type KeptRuns = () => Iterable<TrainingRun>;

/** @returns the runs that a profile learned from; `undefined` where they cannot be learned from again */
async function keptRunsOf({ folder, calibration }: Profile): Promise<KeptRuns | undefined> {
  // Runs that calibrate without having trained were judged by the model as it is: it must stay so.
  if (calibration.some(({ sample }) => sample.role === 'calibration')) return undefined;
  const path = join(folder.model, runsName);
  try {
    const bytes = await readWholeFile(path);
    return () => unpackTrainingRuns(bytes, path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
