import { showCount } from '../base/text/format.ts';
import { evidenceKinds, evidenceRules } from '../evidence/rules.ts';
import type { RunContext } from '../model/first-layer.ts';
import type { NameSourceOptions } from '../names/name-sources.ts';
import type { Fact, ReportData, TraceDetail } from '../report/data/report-data.ts';
import { reportOfLabelled, reportOfNominal } from '../report/data/report-of.ts';
import { calibrates, classifyNominal } from '../verdict/classify-nominal.ts';
import { feature, type TraceFeatures } from '../verdict/features/features.ts';
import {
  applyClassifier,
  classifyLabelled,
  loadClassifier,
  saveClassifier,
} from '../verdict/labelled/classify-labelled.ts';
import type { Scheduler } from '../workers/scheduler.ts';
import { type RunRecord, readRunRecord, runFolder } from './run/folder.ts';
import { findEvaluations, type RunPath } from './run/path.ts';
import { unitOf } from './samples/source.ts';
import { readFeatures } from './tasks/read-features.ts';

export interface ClassifyOptions {
  /** A run's folder, or a folder of evaluations. */
  readonly path: string;
  /** `nominal`: thresholds from calibration traces; `labelled`: a linear SVM on labelled ones. */
  readonly method: 'nominal' | 'labelled';
  readonly fpr: number;
  /** `undefined`: all for `nominal`, the two classic ones for `labelled`. */
  readonly features: string | undefined;
  readonly seed: number;
  /** Labelled: no false positives on the traces that make the classifier. */
  readonly force: boolean;
  readonly cost: number;
  readonly folds: number;
  /** Labelled: where the classifier is written, and which one is used instead of fitting. */
  readonly save: string | undefined;
  readonly load: string | undefined;
  /** Compute features anew, though the evaluations hold them. */
  readonly ignoreCache: boolean;
  /** Where places in code get names from, beside the images. */
  readonly names?: NameSourceOptions | undefined;
  readonly version: string;
}

/** As `wayward classify` judges without options. */
export const defaultJudging: Omit<ClassifyOptions, 'path'> = {
  method: 'nominal',
  fpr: 0.05,
  features: undefined,
  seed: 1,
  force: false,
  cost: 1,
  folds: 10,
  save: undefined,
  load: undefined,
  ignoreCache: false,
  version: '',
};

export interface ClassifyResult {
  readonly path: RunPath;
  readonly report: ReportData;
  /** Traces that are judged and flagged. */
  readonly flagged: number;
}

/**
 * Gives a verdict for each evaluated trace.
 *
 * @param scheduler  who reads the evaluations; without it, this process
 * @param details  what was found on looking into traces, by name, for the report's pages
 * @throws UserError
 */
export async function classify(
  options: ClassifyOptions,
  context: RunContext,
  details?: ReadonlyMap<string, TraceDetail>,
  scheduler?: Scheduler,
): Promise<ClassifyResult> {
  const path = await findEvaluations(options.path);
  const { traces, skipped } = await readFeatures(path, options.ignoreCache, context, scheduler);
  const record = path.run === undefined ? undefined : await readRunRecord(runFolder(path.run));
  const frame = {
    title: 'Wayward report',
    unit: unitOf(record),
    created: new Date().toISOString(),
    generator: `Wayward ${options.version}`,
    run: factsOf(path, record, options),
    skipped: skipped.map(({ path: file, reason }) => ({ name: file, reason })),
    ...(details === undefined ? {} : { details }),
  };
  const report = await judge(traces, options, frame);
  for (const warning of proofWarnings(traces)) context.log.log('warning', warning);
  const flagged = report.rows.filter(
    ({ role, verdict }) => role === 'test' && verdict === 'anomalous',
  );
  return { path, report, flagged: flagged.length };
}

/** @returns what a user should know of proofs that nominal runs hold: they raise the threshold */
export function proofWarnings(traces: readonly TraceFeatures[]): readonly string[] {
  const nominal = traces.filter((trace) => calibrates(trace) && trace.sample.label !== 'anomalous');
  const proofKinds = evidenceKinds.filter((kind) => evidenceRules[kind].strength === 'proof');
  const countOf = (trace: TraceFeatures): number =>
    proofKinds.reduce((sum, kind) => sum + feature(trace, `evidence-${kind}`), 0);
  const holding = nominal.filter((trace) => countOf(trace) > 0);
  if (holding.length === 0) return [];
  const most = holding.reduce((a, b) => (countOf(b) > countOf(a) ? b : a));
  const kinds = proofKinds
    .map((kind) => ({
      kind,
      runs: holding.filter((trace) => feature(trace, `evidence-${kind}`) > 0).length,
    }))
    .filter(({ runs }) => runs > 0)
    .map(({ kind, runs }) => `${kind} in ${runs}`);
  return [
    `${holding.length} of ${nominal.length} calibration traces, which are nominal, hold proofs (${kinds.join(', ')}; most in ${most.sample.name}: ${showCount(countOf(most))}): either they are not nominal, or images are missing, or the program does what Wayward does not know; attacks that prove as much go unseen`,
  ];
}

/** What verdicts from nominal traces look at, unless told. */
function usualFeatures(
  traces: readonly TraceFeatures[],
  unit: 'block' | 'call' | undefined,
): string {
  // Evaluations in the ancestor's format do not hold the surprise.
  const isSurpriseKnown = traces.every((trace) => !Number.isNaN(feature(trace, 'nll')));
  return unit === 'call' && isSurpriseKnown ? 'calls' : 'all';
}

async function judge(
  traces: readonly TraceFeatures[],
  options: ClassifyOptions,
  frame: Parameters<typeof reportOfNominal>[1],
): Promise<ReportData> {
  const { fpr, seed, force, cost, folds } = options;
  if (options.method === 'nominal') {
    const features = options.features ?? usualFeatures(traces, frame.unit);
    return reportOfNominal(classifyNominal(traces, { fpr, features, seed }), frame);
  }
  const features = options.features ?? 'classic';
  const result =
    options.load === undefined
      ? await classifyLabelled(traces, { features, cost, force, folds, seed })
      : applyClassifier(await loadClassifier(options.load), traces);
  if (options.save !== undefined) await saveClassifier(options.save, result.classifier);
  return reportOfLabelled(result, frame);
}

function factsOf(
  path: RunPath,
  record: RunRecord | undefined,
  options: ClassifyOptions,
): readonly Fact[] {
  const facts: Fact[] = [
    { name: 'Evaluations', value: path.evaluation },
    { name: 'Method', value: options.method },
  ];
  if (record === undefined) return facts;
  const list = (value: unknown): string =>
    Array.isArray(value) ? value.join(', ') : String(value);
  const { options: learned, result, sets } = record;
  const training = result.training as { windows?: number; distinctWindows?: number } | undefined;
  facts.push(
    { name: 'Samples', value: list(learned.root) },
    { name: 'First layer', value: list(learned.model) },
    ...(unitOf(record) === 'call'
      ? [{ name: 'Source', value: list(learned.source) }]
      : [{ name: 'Filter', value: list(learned.filter) }]),
    { name: 'Window', value: `${list(learned.windowLength)} ${unitOf(record)}s` },
    { name: 'Seed', value: list(learned.seed) },
    ...Object.entries(sets).map(([name, members]) => ({
      name: setTitles[name] ?? name,
      value: `${members.length} traces`,
    })),
    { name: 'Learned', value: record.started },
    { name: 'Node.js', value: record.node },
  );
  if (training?.windows !== undefined && training.distinctWindows !== undefined) {
    const { windows, distinctWindows } = training;
    facts.push({
      name: 'Training windows',
      value: `${showCount(windows)}, ${showCount(distinctWindows)} distinct`,
    });
  }
  return facts;
}

const setTitles: Readonly<Record<string, string>> = {
  train: 'Training set',
  calibrate: 'Calibration set',
  testNominal: 'Test set, nominal',
  testAnomalous: 'Test set, anomalous',
};
