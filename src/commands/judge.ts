import { basename, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { copyWholeFile, makeFolder } from '../base/files.ts';
import { version } from '../base/version.ts';
import type { Evaluation } from '../evaluation/evaluation.ts';
import { writeEvaluation } from '../evaluation/file.ts';
import { CodeCache } from '../flow/code-cache.ts';
import { ImageStore } from '../image/image-store.ts';
import { type RunContext, silentContext } from '../model/first-layer.ts';
import { type NameSourceOptions, NameSources } from '../names/name-sources.ts';
import { placeSentence } from '../report/data/place-sentence.ts';
import type { ReportRow } from '../report/data/report-data.ts';
import type { Sample } from '../trace/sample.ts';
import { checkCalibrationSize } from '../verdict/conformal.ts';
import { computeFeatures } from '../verdict/features.ts';
import { writeCalibration } from '../verdict/left-out.ts';
import { featuresToStore } from '../verdict/stored-features.ts';
import { changedImages } from './profile/image-identities.ts';
import { openProfile, type Profile } from './profile/profile.ts';
import { makeRunFolder, type RunFolder, writeRunRecord } from './run/folder.ts';
import { loadTrained } from './run/trained.ts';
import { Evaluator, windowLengthOf } from './samples/evaluate.ts';
import { ImageNotes } from './samples/image-notes.ts';
import { layoutOf } from './samples/layout.ts';
import { lookInto } from './samples/look-into.ts';
import type { SkippedSample } from './samples/skipped.ts';
import { readingOf, type SampleSource, sourceFilter, sourceSamplesAt } from './samples/source.ts';
import { verdictRow } from './samples/verdict-row.ts';

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
  readonly reasons: readonly string[];
  /** Share of its blocks that training never ran. */
  readonly unknownBlockRate: number | undefined;
  readonly gaps: number;
  readonly label: ReportRow['label'];
}

export interface JudgeResult {
  /** What was found is kept there, as `learn` does: `report` and `classify` take it. */
  readonly folder: RunFolder;
  readonly judged: readonly JudgedSample[];
  readonly skipped: readonly SkippedSample[];
}

/** More of the run's code is new than a verdict can be based on. */
const muchUnknown = 0.25;

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
    const { fpr = 0.05 } = request;
    checkCalibrationSize(profile.calibration.length, fpr);
    const { samples, skipped, binDirs } = await findSamples(request, profile, context);
    const started = new Date().toISOString();
    const folder = await openRun(request, profile, binDirs, started);
    const judging = await Judging.open(request, profile, folder, binDirs, context);
    const judged: JudgedSample[] = [];
    try {
      for (const sample of samples) {
        context.signal?.throwIfAborted();
        try {
          const result = await judging.judge(sample);
          judged.push(result);
          onJudged(result);
        } catch (error) {
          if (!(error instanceof UserError) || error.category === 'interrupted') throw error;
          context.log.log('warning', `not judged: ${sample.name}: ${error.message}`);
          skipped.push({ name: sample.name, reason: error.message });
        }
      }
    } finally {
      await judging.close();
    }
    await record(folder, request, profile, binDirs, started, { judged, skipped });
    return { folder, judged, skipped };
  } finally {
    await profile.close();
  }
}

async function findSamples(
  request: JudgeRequest,
  profile: Profile,
  context: RunContext,
): Promise<{ samples: Sample[]; skipped: SkippedSample[]; binDirs: string[] }> {
  const samples: Sample[] = [];
  const skipped: SkippedSample[] = [];
  const binDirs = new Set<string>();
  const names = new Map<string, number>();
  for (const path of request.samples) {
    const layout = layoutOf(path, request.binDirs ?? []);
    for (const dir of layout.binDirs) binDirs.add(dir);
    const found = await samplesIn(layout.samples, sourceOf(request, profile));
    for (const { directory, reason } of found.skipped) {
      context.log.log('warning', `left out: ${reason}`);
      skipped.push({ name: basename(directory), reason });
    }
    for (const sample of found.samples) {
      // Evaluations are named by samples: two of one name would overwrite each other.
      const uses = (names.get(sample.name) ?? 0) + 1;
      names.set(sample.name, uses);
      samples.push(uses === 1 ? sample : { ...sample, name: `${sample.name}-${uses}` });
    }
  }
  if (samples.length === 0) {
    throw new UserError('no-samples', 'none of the paths holds a sample', {
      category: 'input',
      path: request.samples[0] ?? '',
    });
  }
  return { samples, skipped, binDirs: [...binDirs] };
}

/** What cannot be read is left out: the other paths are judged. */
async function samplesIn(path: string, source: SampleSource): ReturnType<typeof sourceSamplesAt> {
  try {
    return await sourceSamplesAt(path, source);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { samples: [], skipped: [{ directory: path, reason: error.message }] };
  }
}

function sourceOf(request: JudgeRequest, { facts }: Profile): SampleSource {
  const { process, preprocessed = false, cpu } = request;
  return { source: facts.source, process, preprocessed, cpu };
}

/** Makes a run's folder that `report` and `classify` can read by themselves. */
async function openRun(
  request: JudgeRequest,
  profile: Profile,
  binDirs: readonly string[],
  started: string,
): Promise<RunFolder> {
  const folder = await makeRunFolder(resolve(request.out ?? '.'));
  await makeFolder(folder.evaluation);
  await writeCalibration(folder.evaluation, profile.calibration);
  const vocabulary = `${profile.folder.vocabulary}.json.gz`;
  await copyWholeFile(vocabulary, `${folder.vocabulary}.json.gz`);
  await record(folder, request, profile, binDirs, started, undefined);
  return folder;
}

async function record(
  folder: RunFolder,
  request: JudgeRequest,
  profile: Profile,
  binDirs: readonly string[],
  started: string,
  result: Pick<JudgeResult, 'judged' | 'skipped'> | undefined,
): Promise<void> {
  const { rawImages = false, fpr = 0.05 } = request;
  const options = { ...sourceOf(request, profile), binDirs, rawImages, fpr };
  await writeRunRecord(folder, {
    schemaVersion: 1,
    wayward: version,
    node: process.version,
    started,
    finished: result === undefined ? undefined : new Date().toISOString(),
    options: { ...options, command: 'judge', profile: profile.path, evaluationDir: undefined },
    sets: { testNominal: result?.judged.map(({ name }) => name) ?? [] },
    result: { ...result },
  });
}

/** Evaluates one sample after the other and compares each with the calibration runs. */
class Judging {
  readonly #request: JudgeRequest;
  readonly #profile: Profile;
  readonly #folder: RunFolder;
  readonly #context: RunContext;
  readonly #evaluator: Evaluator;
  readonly #names: NameSources;
  readonly #trained: Awaited<ReturnType<typeof loadTrained>>;
  readonly #traces: ConstructorParameters<typeof Evaluator>[1]['traces'];

  private constructor(
    request: JudgeRequest,
    profile: Profile,
    folder: RunFolder,
    context: RunContext,
    trained: Awaited<ReturnType<typeof loadTrained>>,
    traces: ConstructorParameters<typeof Evaluator>[1]['traces'],
  ) {
    this.#request = request;
    this.#profile = profile;
    this.#folder = folder;
    this.#context = context;
    this.#trained = trained;
    this.#names = new NameSources(request.names);
    this.#traces = traces;
    this.#evaluator = new Evaluator(trained, {
      windowLength: windowLengthOf(trained.layer),
      filter: sourceFilter(profile.facts.source, trained.filter),
      traces,
      notes: new ImageNotes(request.rawImages ?? false),
      timeout: request.timeout,
    });
  }

  static async open(
    request: JudgeRequest,
    profile: Profile,
    folder: RunFolder,
    binDirs: readonly string[],
    context: RunContext,
  ): Promise<Judging> {
    const { device = 'cpu', rawImages = false } = request;
    const images = new ImageStore(binDirs, { rawImages });
    const changed = await changedImages(profile.facts.images, images);
    if (changed.length > 0) {
      const names = changed.slice(0, 5).join(', ');
      context.log.log(
        'warning',
        `${changed.length} of ${profile.facts.images.length} images are other builds than those that were learned: ${names}${changed.length > 5 ? ', ...' : ''}; what is new in them is suspicious: learn again`,
      );
    }
    const trained = await loadTrained(profile.folder.root, { workers: 1, device, seed: 0 });
    const codeCache = new CodeCache();
    const traces = { images, codeCache, ...readingOf(sourceOf(request, profile)), isTimed: true };
    return new Judging(request, profile, folder, context, trained, traces);
  }

  async judge(sample: Sample): Promise<JudgedSample> {
    const evaluation = await this.#evaluator.evaluate({ sample, role: 'test' }, this.#context);
    await writeEvaluation(this.#folder.evaluation, evaluation, featuresToStore(evaluation));
    const row = this.#rowOf(evaluation);
    const isFlagged = row.verdict === 'anomalous';
    const { unknownBlockRate } = row;
    if (unknownBlockRate !== undefined && unknownBlockRate > muchUnknown) {
      this.#context.log.log(
        'warning',
        `${sample.name}: ${Math.round(100 * unknownBlockRate)} % of its blocks are code that no training run ran: is it the program that was learned?`,
      );
    }
    return {
      ...{ name: sample.name, directory: sample.directory, label: row.label },
      verdict: isFlagged ? 'anomalous' : 'nominal',
      pValue: row.pValue ?? Number.NaN,
      score: row.score ?? Number.NaN,
      place: isFlagged ? await this.#placeOf(evaluation) : undefined,
      ...{ reasons: row.reasons, unknownBlockRate, gaps: row.gaps },
    };
  }

  #rowOf(evaluation: Evaluation): ReportRow {
    const { calibration, facts } = this.#profile;
    const { fpr = 0.05, seed = 1 } = this.#request;
    const unit = facts.source === 'trace' ? 'block' : 'call';
    const features = this.#request.features ?? (unit === 'block' ? 'all' : 'calls');
    return verdictRow(computeFeatures(evaluation), calibration, { fpr, seed, features }, unit);
  }

  async #placeOf(evaluation: Evaluation): Promise<string | undefined> {
    const { source } = this.#profile.facts;
    const { detail } = await lookInto(evaluation, {
      source: sourceOf(this.#request, this.#profile),
      unit: source === 'trace' ? 'block' : 'call',
      traces: this.#traces,
      vocabulary: this.#trained.vocabulary,
      nameSources: this.#names,
      ...{ patches: 1, bins: 1, pictures: undefined },
      withEvidence: this.#request.features !== 'first-layer',
      context: this.#context,
    });
    return placeSentence(detail);
  }

  async close(): Promise<void> {
    this.#traces.codeCache.dispose();
    await this.#trained.layer.dispose();
  }
}
