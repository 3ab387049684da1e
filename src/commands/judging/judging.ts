import { join } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { removeAll } from '../../base/files/folder.ts';
import type { Evaluation } from '../../evaluation/evaluation.ts';
import { decodeWhole, readEntry } from '../../evaluation/folder.ts';
import { ImageCodeCache } from '../../evidence/code/process-code.ts';
import { CodeCache } from '../../flow/code-cache.ts';
import { ImageStore } from '../../image/image-store.ts';
import type { NominalRuns } from '../../likeness/nominal-runs.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { type NameSourceOptions, NameSources } from '../../names/name-sources.ts';
import { placeSentence } from '../../report/data/place-sentence.ts';
import type { ReportRow, TraceDetail } from '../../report/data/report-data.ts';
import type { Sample } from '../../trace/sample.ts';
import { readFeaturesOf } from '../../verdict/features/stored-features.ts';
import { isNothingRead, whyNothingRead } from '../../verdict/nothing-read.ts';
import type { Scheduler } from '../../workers/scheduler.ts';
import { changedImages } from '../profile/image-identities.ts';
import { type Profile, partsOf } from '../profile/profile.ts';
import { loadTrained, runsName } from '../run/trained.ts';
import { type EarlierBuilds, matchEarlierBuilds } from '../samples/evaluating/earlier-builds.ts';
import { Evaluator, modelIdentity, windowLengthOf } from '../samples/evaluating/evaluate.ts';
import { ImageNotes } from '../samples/evaluating/image-notes.ts';
import type { KnownPlace, PassedPlace } from '../samples/evaluating/known-places.ts';
import { lookInto, patchesForPrograms } from '../samples/look-into.ts';
import { readingOf, type SampleSource, sourceFilter } from '../samples/source.ts';
import { verdictRow } from '../samples/verdict-row.ts';
import { type EvaluateSetup, evaluateJob, evaluateTask } from '../tasks/evaluate.ts';
import { openInProcess } from '../tasks/evaluate-samples.ts';
import { readNominalRuns } from '../training/events/nominal-runs.ts';
import { FactsFolder } from './facts-folder.ts';

/** How samples are read and judged. */
export interface JudgingOptions {
  readonly source: SampleSource;
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  /** Share of nominal runs that may be flagged. */
  readonly fpr: number;
  readonly features: string | undefined;
  readonly seed: number;
  readonly device: string;
  /** Seconds for reading one sample. */
  readonly timeout: number | undefined;
  /** Where else names come from than the images. */
  readonly names?: NameSourceOptions | undefined;
  /** Transfers that somebody found harmless: they alarm nobody. */
  readonly knownPlaces?: readonly KnownPlace[] | undefined;
  /** Folder that gets an evaluation of each sample. */
  readonly out: string;
  /** Folder that keeps what was found out about images for the next process. */
  readonly factsFolder?: string | undefined;
  /** Folder of the model, where those who evaluate see another one than this process does. */
  readonly model?: string | undefined;
}

/** What became of one sample. */
export interface JudgedSample {
  readonly name: string;
  readonly directory: string;
  readonly verdict: 'anomalous' | 'nominal';
  /** Share of calibration runs, this one counted in, that are at least as suspicious. */
  readonly pValue: number;
  readonly score: number;
  /** Where it strayed most, in words; of nominal samples `undefined`. */
  readonly place: string | undefined;
  /** The most surprising transfer of an anomalous sample, as a list of known places has it. */
  readonly fingerprint: string | undefined;
  /** Transfers that were passed over, because a list says that they are harmless. */
  readonly knownPlaces: readonly (KnownPlace & PassedPlace)[];
  /** The places where it strayed, and the nominal run beside it; of nominal samples `undefined`. */
  readonly detail: TraceDetail | undefined;
  readonly reasons: readonly string[];
  /** Share of its blocks that training never ran. */
  readonly unknownBlockRate: number | undefined;
  readonly gaps: number;
  readonly label: ReportRow['label'];
  /** Profile that it was judged by. */
  readonly profile: string;
  /** Name of its evaluation's file, in the folder of evaluations. */
  readonly evaluation: string;
}

/** More of the run's code is new than a verdict can be based on. */
const muchUnknown = 0.25;

/** What judging takes beside its options. */
interface Known {
  readonly trained: Awaited<ReturnType<typeof loadTrained>>;
  readonly images: ImageStore;
  /** Modules of which other builds are at hand than those that were learned. */
  readonly changed: readonly string[];
  readonly builds: EarlierBuilds;
}

/** Judges samples by a profile: each is evaluated, and compared with the runs that calibrate. */
export class Judging {
  readonly #profile: Profile;
  readonly #options: JudgingOptions;
  readonly #context: RunContext;
  readonly #trained: Awaited<ReturnType<typeof loadTrained>>;
  readonly #codeCache = new CodeCache();
  readonly #imageCode = new ImageCodeCache();
  readonly #names: NameSources;
  #nominalRuns: Promise<NominalRuns | undefined> | undefined;
  readonly #images: ImageStore;
  readonly #builds: EarlierBuilds;
  readonly #setup: EvaluateSetup;
  readonly #scheduler: Scheduler;
  /** Evaluates in this process. */
  readonly #own: Evaluator | undefined;

  private constructor(
    profile: Profile,
    options: JudgingOptions,
    context: RunContext,
    { trained, images, changed, builds }: Known,
    elsewhere: Scheduler | undefined,
  ) {
    this.#profile = profile;
    this.#options = options;
    this.#context = context;
    this.#trained = trained;
    this.#images = images;
    this.#builds = builds;
    this.#names = new NameSources(options.names);
    const { source, binDirs, rawImages, device, timeout, out } = options;
    this.#setup = {
      ...{ ...source, run: options.model ?? profile.folder.root, model: modelIdentity(trained) },
      ...{ binDirs, rawImages, changed, timeout, out, format: 'eval', device },
    };
    if (elsewhere === undefined) {
      this.#own = this.#evaluator();
      this.#scheduler = openInProcess(this.#own, context);
    } else this.#scheduler = elsewhere;
  }

  /**
   * @param elsewhere  who evaluates, and sees the profile's folder; without it, this process
   * @throws UserError
   */
  static async open(
    profile: Profile,
    options: JudgingOptions,
    context: RunContext,
    elsewhere?: Scheduler,
  ): Promise<Judging> {
    const images = new ImageStore(options.binDirs, { rawImages: options.rawImages });
    const changed = await changedImages(profile.facts.images, images);
    const builds = await partsOf(profile, ({ model }) =>
      matchEarlierBuilds(model, changed, images),
    );
    if (changed.length > 0) context.log.log('warning', tellBuilds(changed, builds, profile));
    const { device, knownPlaces = [] } = options;
    const trained = await partsOf(profile, ({ root }) =>
      loadTrained(root, { workers: 1, device, seed: 0 }),
    );
    if (knownPlaces.length > 0 && windowLengthOf(trained.layer) > 0) {
      throw new UserError(
        'known-places-not-here',
        'places are known by histories, and this profile predicts from windows: accept takes whole runs in',
        { category: 'arguments', path: profile.path },
      );
    }
    const known = { trained, images, changed, builds };
    return new Judging(profile, options, context, known, elsewhere);
  }

  /** How many samples are judged at the same time. */
  get width(): number {
    return this.#scheduler.width;
  }

  /** @throws UserError when the sample, or all of the code that it ran, cannot be read */
  async judge(
    sample: Sample,
    known: readonly KnownPlace[] = this.#options.knownPlaces ?? [],
  ): Promise<JudgedSample> {
    const file = await this.#evaluate(sample, known);
    const features = wholeOf(await readFeaturesOf(this.#options.out, file, false));
    if (isNothingRead(features)) {
      // Whoever reads the folder later would take it for a nominal run.
      await removeAll(join(this.#options.out, file));
      throw new UserError('nothing-read', whyNothingRead(features), {
        category: 'input',
        path: sample.directory,
      });
    }
    const row = verdictRow(
      features,
      this.#profile.calibration,
      { ...this.#options, features: this.#features },
      this.#unit,
    );
    const isFlagged = row.verdict === 'anomalous';
    const { unknownBlockRate, name, label, reasons, gaps } = row;
    if (unknownBlockRate !== undefined && unknownBlockRate > muchUnknown) {
      this.#context.log.log(
        'warning',
        `${name}: ${Math.round(100 * unknownBlockRate)} % of its blocks are code that no training run ran: ${this.#builds.size > 0 ? 'record the new builds and learn again' : 'is it the program that was learned?'}`,
      );
    }
    const evaluation =
      isFlagged || known.length > 0
        ? wholeOf(await readEntry(this.#options.out, file, decodeWhole))
        : undefined;
    const { passedOver = [], worst } = evaluation?.places ?? {};
    const detail =
      isFlagged && evaluation !== undefined ? await this.#lookInto(evaluation) : undefined;
    return {
      ...{ name, directory: sample.directory, label },
      verdict: isFlagged ? 'anomalous' : 'nominal',
      pValue: row.pValue ?? Number.NaN,
      score: row.score ?? Number.NaN,
      ...{ place: detail && placeSentence(detail), detail },
      fingerprint: isFlagged ? worst : undefined,
      knownPlaces: known.flatMap((place) => {
        const passed = passedOver.find(({ fingerprint }) => fingerprint === place.fingerprint);
        return passed === undefined ? [] : [{ ...place, ...passed }];
      }),
      ...{ reasons, unknownBlockRate, gaps, profile: this.#profile.path, evaluation: file },
    };
  }

  async close(): Promise<void> {
    if (this.#own !== undefined) {
      await this.#scheduler.close();
      this.#own.keepFacts();
    }
    this.#codeCache.dispose();
    await this.#trained.layer.dispose();
  }

  get #unit(): 'block' | 'call' {
    return this.#options.source.source === 'trace' ? 'block' : 'call';
  }

  get #features(): string {
    return this.#options.features ?? (this.#unit === 'block' ? 'all' : 'calls');
  }

  get #traces() {
    const { source } = this.#options;
    const caches = { images: this.#images, codeCache: this.#codeCache };
    return { ...caches, ...readingOf(source), isTimed: true };
  }

  #evaluator(): Evaluator {
    const { rawImages, source, timeout, factsFolder } = this.#options;
    return new Evaluator(this.#trained, {
      windowLength: windowLengthOf(this.#trained.layer),
      filter: sourceFilter(source.source, this.#trained.filter),
      traces: this.#traces,
      notes: new ImageNotes(rawImages),
      builds: this.#builds,
      timeout,
      keptFacts: factsFolder === undefined ? undefined : new FactsFolder(factsFolder),
    });
  }

  /** @returns the name of the file of its evaluation */
  async #evaluate(
    { directory, name }: Sample,
    knownPlaces: readonly KnownPlace[],
  ): Promise<string> {
    const known = knownPlaces.map(({ fingerprint }) => fingerprint);
    const job = evaluateJob(directory, 'test', this.#setup, { name, known });
    const outcome = await this.#scheduler.submit(job);
    if (outcome.status === 'failed') throw unreadable(outcome.reason);
    for (const message of outcome.warnings) this.#context.log.log('warning', message);
    const value = evaluateTask.resultOf(outcome);
    if (value.status === 'unreadable') throw unreadable(value.reason);
    return value.file;
  }

  async #lookInto(evaluation: Evaluation): Promise<TraceDetail> {
    const { detail } = await lookInto(evaluation, {
      ...{ source: this.#options.source, unit: this.#unit, traces: this.#traces },
      ...{ imageCode: this.#imageCode, vocabulary: this.#trained.vocabulary },
      ...{ nameSources: this.#names, nominalRuns: await this.#nominal() },
      ...{ patches: patchesForPrograms, bins: 1, pictures: undefined },
      withEvidence: this.#options.features !== 'first-layer',
      context: this.#context,
    });
    return { ...detail, timeline: undefined };
  }

  /** Read when the first sample is flagged. */
  #nominal(): Promise<NominalRuns | undefined> {
    this.#nominalRuns ??= partsOf(this.#profile, ({ model }) =>
      readNominalRuns(join(model, runsName)),
    );
    return this.#nominalRuns;
  }
}

/** How far a profile holds for other builds than those that were learned. */
function tellBuilds(changed: readonly string[], builds: EarlierBuilds, { facts }: Profile): string {
  const told = changed.slice(0, 5).map((name) => {
    const match = builds.get(name);
    if (match === undefined) return `${name} (its functions are not known)`;
    return `${name} (${match.same} of ${match.same + match.changed} functions that ran are the same)`;
  });
  const more = changed.length > 5 ? ', ...' : '';
  return `${changed.length} of ${facts.images.length} images are other builds than those that were learned: ${told.join(', ')}${more}; what is new in them is suspicious: record and learn again where it is much`;
}

/** @param reason  names the file that is wrong */
function unreadable(reason: string): UserError {
  return new UserError('sample-unreadable', reason, { category: 'input' });
}

/** @throws UserError `evaluation-damaged` */
function wholeOf<T>(entry: { readonly path: string } & ({ value: T } | { skipped: string })): T {
  if ('value' in entry) return entry.value;
  throw new UserError('evaluation-damaged', entry.skipped, { category: 'input', path: entry.path });
}
