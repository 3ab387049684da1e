import { join } from 'node:path';
import { UserError } from '../base/errors.ts';
import { writeFileAtomic } from '../base/files/write.ts';
import { nearest } from '../base/options/option.ts';
import { evaluationsIn } from '../evaluation/folder.ts';
import { ImageCodeCache } from '../evidence/code/process-code.ts';
import { CodeCache } from '../flow/code-cache.ts';
import { ImageStore } from '../image/image-store.ts';
import type { NominalRuns } from '../likeness/nominal-runs.ts';
import type { RunContext } from '../model/first-layer.ts';
import { NameSources } from '../names/name-sources.ts';
import type { ClusterData } from '../report/data/cluster-data.ts';
import type { ReportData, TraceDetail } from '../report/data/report-data.ts';
import { renderAlarm } from '../report/page/alarm.ts';
import { renderReport } from '../report/page/html-report.ts';
import { type ClassifyOptions, type ClassifyResult, classify } from './classify.ts';
import { collectionOf } from './cluster.ts';
import { openProfile, partsOf } from './profile/profile.ts';
import { type RunFolder, type RunRecord, readRunRecord, runFolder } from './run/folder.ts';
import { runsName } from './run/trained.ts';
import { findVocabulary } from './run/vocabulary.ts';
import { lookInto, patchesForPrograms } from './samples/look-into.ts';
import { readingOf, sourceOfRun, unitOf } from './samples/source.ts';
import { clusterDataOf } from './slices/cluster-data.ts';
import { compareSlices, usualComparison } from './slices/compare.ts';
import { sliceSamples, usualRecipe } from './slices/samples.ts';
import { readNominalRuns } from './training/events/nominal-runs.ts';

export interface ReportOptions extends ClassifyOptions {
  /** File of the page. */
  readonly output: string;
  /** Name of the only trace that the page is about. */
  readonly only?: string | undefined;
  /** Traces that get a page of their own with patches: the most suspicious ones. */
  readonly detailed: number;
  /** Patches for each. */
  readonly patches: number;
  /** Adds each of them as pixels, coloured by what was predicted right or by block. */
  readonly pictures: 'predictions' | 'blocks' | undefined;
}

/** Enough to zoom in on a trace of a million blocks. */
const timelineBins = 960;
/** Fewer flagged traces make no cluster; the recordings of more take long to read. */
const leastClustered = 3;
const mostClustered = 500;

/**
 * Judges the traces and writes the HTML page: an overview, and for the most suspicious traces where
 * they strayed, read again from their recordings where those are still there.
 *
 * @throws UserError
 */
export async function report(options: ReportOptions, context: RunContext): Promise<ClassifyResult> {
  const first = await classify(options, context);
  if (options.only !== undefined) return reportOne(first, options.only, options, context);
  const names = mostSuspicious(first.report, options.detailed);
  const details = await readDetails(first, names, options, context);
  const rows = first.report.rows.map((row) => ({ ...row, detail: details.get(row.name) }));
  const clusters = await clustersOf(first, options, context);
  const data = { ...first.report, rows, ...(clusters === undefined ? {} : { clusters }) };
  await writeFileAtomic(options.output, renderReport(data));
  return { ...first, report: data };
}

/** Writes the page of one trace. */
async function reportOne(
  first: ClassifyResult,
  only: string,
  options: ReportOptions,
  context: RunContext,
): Promise<ClassifyResult> {
  const found = first.report.rows.find(({ name }) => name === only);
  if (found === undefined) {
    const near = nearest(
      only,
      first.report.rows.map(({ name }) => name),
    );
    const advice = near === undefined ? '' : `; did you mean ${near}?`;
    throw new UserError('no-such-sample', `holds no evaluation of ${only}${advice}`, {
      category: 'arguments',
      path: first.path.evaluation,
    });
  }
  const details = await readDetails(first, new Set([only]), options, context);
  const row = { ...found, detail: details.get(only) };
  await writeFileAtomic(options.output, renderAlarm(first.report, row));
  return { ...first, report: { ...first.report, rows: [row] } };
}

/** Which flagged traces are alike; `undefined` when they are few, or their recordings are gone. */
async function clustersOf(
  { path, report: data }: ClassifyResult,
  options: ReportOptions,
  context: RunContext,
): Promise<ClusterData | undefined> {
  const flagged = data.rows.filter(
    ({ role, verdict }) => role === 'test' && verdict === 'anomalous',
  );
  if (flagged.length < leastClustered || flagged.length > mostClustered) return undefined;
  const names = new Set(flagged.map(({ name }) => name));
  try {
    const folder = await sliceSamples(
      path.evaluation,
      usualRecipe,
      ({ name }) => names.has(name),
      [],
      context,
    );
    const comparison = compareSlices(folder.samples, undefined, usualComparison, context);
    return clusterDataOf(
      {
        ...comparison,
        ...folder,
        collection: collectionOf(folder.model, usualRecipe),
        place: '',
        added: [],
        removed: [],
      },
      options.version,
    );
  } catch (error) {
    if (!(error instanceof UserError) || error.category === 'interrupted') throw error;
    context.log.log('warning', `the report shows no clusters: ${error.message}`);
    return undefined;
  }
}

function mostSuspicious(data: ReportData, count: number): ReadonlySet<string> {
  const judged = data.rows.filter(({ role }) => role === 'test');
  const ranked = [...judged].sort(
    (a, b) => (a.pValue ?? 1) - (b.pValue ?? 1) || (b.score ?? 0) - (a.score ?? 0),
  );
  return new Set(ranked.slice(0, count).map(({ name }) => name));
}

/**
 * Adds to each flagged trace where it strayed, read again from its recording, for the programs that read a
 * verdict.
 *
 * @throws UserError
 */
export async function withPlaces(
  result: ClassifyResult,
  options: ClassifyOptions,
  context: RunContext,
): Promise<ClassifyResult> {
  const flagged = result.report.rows.filter(({ verdict }) => verdict === 'anomalous');
  if (flagged.length === 0) return result;
  const names = new Set(flagged.map(({ name }) => name));
  const looked = { ...options, patches: patchesForPrograms, pictures: undefined };
  const details = await readDetails(result, names, looked, context);
  const rows = result.report.rows.map((row) => ({ ...row, detail: details.get(row.name) }));
  return { ...result, report: { ...result.report, rows } };
}

/** Runs that trained: those that the run's folder keeps, else the profile that it judged with. */
async function nominalRunsOf(
  folder: RunFolder | undefined,
  record: RunRecord | undefined,
  context: RunContext,
): Promise<NominalRuns | undefined> {
  if (folder === undefined) return undefined;
  const own = await readNominalRuns(join(folder.model, runsName));
  const profile = record?.options.profile;
  if (own !== undefined || typeof profile !== 'string') return own;
  try {
    const opened = await openProfile(profile);
    try {
      return await partsOf(opened, ({ model }) => readNominalRuns(join(model, runsName)));
    } finally {
      await opened.close();
    }
  } catch (error) {
    if (!(error instanceof UserError) || error.category === 'interrupted') throw error;
    context.log.log('warning', `traces are not compared with nominal runs: ${error.message}`);
    return undefined;
  }
}

async function readDetails(
  result: ClassifyResult,
  names: ReadonlySet<string>,
  options: Pick<ReportOptions, 'patches' | 'pictures' | 'features' | 'names'>,
  context: RunContext,
): Promise<ReadonlyMap<string, TraceDetail>> {
  const folder = result.path.run === undefined ? undefined : runFolder(result.path.run);
  const record = folder === undefined ? undefined : await readRunRecord(folder);
  const vocabulary = folder === undefined ? undefined : await findVocabulary(folder);
  const binDirs = (record?.options.binDirs as readonly string[] | undefined) ?? [];
  const images = new ImageStore(binDirs, { rawImages: record?.options.rawImages === true });
  const codeCache = new CodeCache();
  const imageCode = new ImageCodeCache();
  const nameSources = new NameSources(options.names);
  const nominalRuns = await nominalRunsOf(folder, record, context);
  const source = sourceOfRun(record?.options);
  const unit = unitOf(record);
  const traces = { images, codeCache, ...readingOf(source), isTimed: true };
  const details = new Map<string, TraceDetail>();
  const shown = unit === 'call' ? 'calls' : 'instructions';
  const toldBefore = new Set(result.report.skipped.map(({ name }) => name));
  let unreadable = 0;
  try {
    for await (const entry of evaluationsIn(result.path.evaluation)) {
      context.signal?.throwIfAborted();
      if ('skipped' in entry) {
        if (toldBefore.has(entry.path)) continue;
        context.log.log('warning', `no ${shown} for ${entry.path}: ${entry.skipped}`);
        unreadable++;
        continue;
      }
      if (!names.has(entry.value.sample.name)) continue;
      const evaluation = entry.value;
      context.progress({
        step: 'looking into traces',
        done: details.size,
        total: names.size,
        unit: 'traces',
      });
      const { detail, problem } = await lookInto(evaluation, {
        ...{
          source,
          unit,
          traces,
          imageCode,
          nameSources,
          nominalRuns,
          vocabulary,
          bins: timelineBins,
        },
        ...{ patches: options.patches, pictures: options.pictures },
        withEvidence: options.features !== 'first-layer',
        context,
      });
      if (problem !== undefined) {
        context.log.log('warning', `no ${shown} for ${evaluation.sample.name}: ${problem}`);
        unreadable++;
      }
      details.set(evaluation.sample.name, detail);
    }
  } finally {
    codeCache.dispose();
  }
  if (unreadable > 0)
    context.log.log('warning', `${unreadable} traces are shown without their ${shown}`);
  context.progress({
    step: 'looking into traces',
    done: names.size,
    total: names.size,
    unit: 'traces',
  });
  return details;
}
