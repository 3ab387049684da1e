import { createHash } from 'node:crypto';
import { UserError } from '../../base/errors.ts';
import { readJsonFile, writeJsonFile } from '../../base/files/json-file.ts';
import { Random } from '../../base/random.ts';
import { showValue } from '../../base/text/format.ts';
import type { SampleIdentity } from '../../evaluation/evaluation.ts';
import { chooseFeatures, type FeatureName, isFeatureName } from '../features/feature-table.ts';
import { feature, type TraceFeatures } from '../features/features.ts';
import { type ErrorRates, errorRates, type Judged } from '../rates.ts';
import { decisionValue, fitLinearSvm, type Hyperplane, type LabelledPoint } from './linear-svm.ts';

/** A linear SVM with what is needed to use it again. */
export interface Classifier {
  readonly features: readonly FeatureName[];
  /** Model whose evaluations made it; those of another one are refused. */
  readonly model: string;
  readonly force: boolean;
  readonly cost: number;
  readonly fittedOn: { readonly nominal: number; readonly anomalous: number };
  /** `fingerprintOf` the traces that made it: rates measured on those are not held out. */
  readonly madeFrom: readonly string[];
  readonly plane: Hyperplane;
}

export interface LabelledOptions {
  /** As for the nominal-only method; `classic` is the ancestor's choice. */
  readonly features: string;
  /** LIBSVM's C. */
  readonly cost: number;
  /** No false positives on the traces that make the classifier. */
  readonly force: boolean;
  readonly folds: number;
  readonly seed: number;
}

export interface LabelledVerdict {
  readonly sample: SampleIdentity;
  readonly isFlagged: boolean;
  /** Signed distance from the decision line in margins; above 0 = flagged. */
  readonly score: number;
  /** Decided by a classifier that never saw this trace; absent without cross-validation. */
  readonly crossValidated: { readonly isFlagged: boolean; readonly score: number } | undefined;
  readonly features: TraceFeatures;
}

export interface LabelledVerdicts {
  readonly method: 'linear-svm';
  readonly classifier: Classifier;
  readonly verdicts: readonly LabelledVerdict[];
  /** Those that `fitted` counts: of a loaded classifier the ones that did not make it, if any. */
  readonly measured: readonly LabelledVerdict[];
  /** `fitted` where the measured traces made the classifier, else `held out`. */
  readonly fitted: ErrorRates;
  readonly crossValidation: ErrorRates | undefined;
  /** What a reader must know to judge the figures. */
  readonly warnings: readonly string[];
}

/**
 * Fits a linear SVM to labelled traces, and says how well it does on the traces that made it as
 * well as in cross-validation. Traces that trained the first layer are left out: their
 * predictions are better than any new trace's.
 *
 * @throws UserError `one-class-only`, `feature-unknown`, `folds-invalid`
 */
export async function classifyLabelled(
  traces: readonly TraceFeatures[],
  options: LabelledOptions,
): Promise<LabelledVerdicts> {
  const names = chooseFeatures(options.features);
  const warnings: string[] = [];
  const usable = labelledOnly(usableTraces(traces, names, warnings), warnings);
  const points = usable.map((trace) => pointOf(trace, names));
  const anomalous = points.filter((point) => point.isAnomalous).length;
  const fittedOn = { nominal: points.length - anomalous, anomalous };
  if (fittedOn.nominal === 0 || anomalous === 0) {
    throw new UserError(
      'one-class-only',
      `a classifier takes nominal and anomalous traces; there are ${fittedOn.nominal} nominal and ${anomalous} anomalous ones`,
      { category: 'input' },
    );
  }
  const plane = await fitLinearSvm(points, options);
  if (plane.weights.every((weight) => weight === 0)) {
    warnings.push(
      `the two classes do not differ in ${names.join(' and ')}: no line separates anything, and nothing is flagged`,
    );
  }
  const { force, cost } = options;
  const madeFrom = usable.map(fingerprintOf);
  const { model } = usable[0];
  const classifier = { features: names, model, force, cost, fittedOn, madeFrom, plane };
  const scores = await crossValidate(points, options, warnings);
  const verdicts = usable.map((trace, index): LabelledVerdict => {
    const score = decisionValue(plane, points[index].values);
    const cv = scores?.[index];
    return {
      sample: trace.sample,
      isFlagged: score > 0,
      score,
      crossValidated: cv === undefined ? undefined : { isFlagged: cv > 0, score: cv },
      features: trace,
    };
  });
  const judged = verdicts.flatMap(({ sample, crossValidated }): Judged[] =>
    crossValidated === undefined ? [] : [{ sample, ...crossValidated }],
  );
  return {
    method: 'linear-svm',
    classifier,
    verdicts,
    measured: verdicts,
    fitted: errorRates(verdicts, 'fitted'),
    crossValidation: scores === undefined ? undefined : errorRates(judged, 'cross-validation'),
    warnings,
  };
}

/**
 * Applies a classifier made before to traces.
 *
 * @throws UserError `classifier-of-another-model`
 */
export function applyClassifier(
  classifier: Classifier,
  traces: readonly TraceFeatures[],
): LabelledVerdicts {
  const foreign = traces.find((trace) => trace.model !== classifier.model);
  if (foreign !== undefined) {
    throw new UserError(
      'classifier-of-another-model',
      `the classifier was made with model ${classifier.model.slice(0, 12)}, the evaluation of ${foreign.sample.name} with ${foreign.model.slice(0, 12)}`,
      { category: 'input' },
    );
  }
  const warnings: string[] = [];
  const usable = usableTraces(traces, classifier.features, warnings);
  const verdicts = usable.map((trace): LabelledVerdict => {
    const score = decisionValue(classifier.plane, pointOf(trace, classifier.features).values);
    const isFlagged = score > 0;
    return { sample: trace.sample, isFlagged, score, crossValidated: undefined, features: trace };
  });
  const madeFrom = new Set(classifier.madeFrom);
  const heldOut = verdicts.filter(({ features }) => !madeFrom.has(fingerprintOf(features)));
  if (heldOut.length < verdicts.length) {
    const made = `${verdicts.length - heldOut.length} of ${verdicts.length} traces made the classifier`;
    warnings.push(
      heldOut.length === 0
        ? `${made}: its error rates on them are too good`
        : `${made}: the error rates are those of the other ${heldOut.length}`,
    );
  }
  return {
    method: 'linear-svm',
    classifier,
    verdicts,
    measured: heldOut.length === 0 ? verdicts : heldOut,
    fitted: heldOut.length === 0 ? errorRates(verdicts, 'fitted') : errorRates(heldOut, 'held out'),
    crossValidation: undefined,
    warnings,
  };
}

function labelledOnly(traces: readonly TraceFeatures[], warnings: string[]): TraceFeatures[] {
  const labelled = traces.filter(({ sample }) => sample.label !== 'unknown');
  if (labelled.length < traces.length) {
    warnings.push(`${traces.length - labelled.length} traces without a label are left out`);
  }
  return labelled;
}

function usableTraces(
  traces: readonly TraceFeatures[],
  names: readonly FeatureName[],
  warnings: string[],
): TraceFeatures[] {
  const fresh = traces.filter(({ sample: { role } }) => role !== 'training');
  if (fresh.length < traces.length) {
    warnings.push(`${traces.length - fresh.length} traces that trained the model are left out`);
  }
  const usable = fresh.filter((trace) =>
    names.every((name) => !Number.isNaN(feature(trace, name))),
  );
  if (usable.length < fresh.length) {
    const first = fresh.find((trace) => !usable.includes(trace));
    warnings.push(
      `${fresh.length - usable.length} traces do not have all of ${names.join(', ')} and are left out, the first is ${first?.sample.name}`,
    );
  }
  return usable;
}

/** The same for a trace under another name, and for no two traces that differ in anything that counts. */
function fingerprintOf({ values }: TraceFeatures): string {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

function pointOf(trace: TraceFeatures, names: readonly FeatureName[]): LabelledPoint {
  return {
    values: names.map((name) => feature(trace, name)),
    isAnomalous: trace.sample.label === 'anomalous',
  };
}

/** @returns each point's decision value by a classifier fitted without its fold */
async function crossValidate(
  points: readonly LabelledPoint[],
  options: LabelledOptions,
  warnings: string[],
): Promise<number[] | undefined> {
  if (!Number.isInteger(options.folds) || options.folds < 2) {
    throw new UserError('folds-invalid', `${options.folds} folds: it takes at least 2`, {
      category: 'arguments',
    });
  }
  const anomalous = points.filter((point) => point.isAnomalous).length;
  const folds = Math.min(options.folds, anomalous, points.length - anomalous);
  if (folds < 2) {
    warnings.push('no cross-validation: it takes two traces of each class');
    return undefined;
  }
  if (folds < options.folds)
    warnings.push(`${folds} folds only: the smaller class has no more traces`);
  const fold = stratifiedFolds(points, folds, options.seed);
  const scores = new Array<number>(points.length);
  for (let k = 0; k < folds; k++) {
    const plane = await fitLinearSvm(
      points.filter((_, index) => fold[index] !== k),
      options,
    );
    points.forEach((point, index) => {
      if (fold[index] === k) scores[index] = decisionValue(plane, point.values);
    });
  }
  return scores;
}

/** Deals each class over the folds like cards, after shuffling it. */
function stratifiedFolds(
  points: readonly LabelledPoint[],
  folds: number,
  seed: number,
): Int32Array {
  const random = new Random(seed);
  const fold = new Int32Array(points.length);
  let next = 0;
  for (const isAnomalous of [false, true]) {
    const members = points.flatMap((point, i) => (point.isAnomalous === isAnomalous ? [i] : []));
    for (const index of random.shuffle(members)) fold[index] = next++ % folds;
  }
  return fold;
}

const classifierFormat = 'wayward-classifier';
const classifierVersion = 3;

export async function saveClassifier(path: string, classifier: Classifier): Promise<void> {
  const head = { format: classifierFormat, version: classifierVersion };
  await writeJsonFile(path, { ...head, ...classifier });
}

/** @throws UserError `classifier-damaged` with what is wrong, `not-readable`, `file-damaged` */
export async function loadClassifier(path: string): Promise<Classifier> {
  const damaged = (message: string): UserError =>
    new UserError('classifier-damaged', message, { category: 'input', path });
  const root = (await readJsonFile(path)) as Partial<Classifier> & {
    format?: unknown;
    version?: unknown;
  };
  if (root.format !== classifierFormat) throw damaged('is no saved classifier');
  if (root.version !== classifierVersion) {
    throw damaged(
      `has version ${showValue(root.version)}; this release reads ${classifierVersion}`,
    );
  }
  const { features, model, force, cost, fittedOn, madeFrom, plane } = root;
  const isNames = Array.isArray(features) && features.length > 0;
  const unknown = isNames ? features.filter((name) => !isFeatureName(name)) : [];
  if (!isNames || unknown.length > 0)
    throw damaged(`names unknown features: ${unknown.map(showValue).join(', ')}`);
  const isVector = (list: unknown, check: (x: number) => boolean): boolean =>
    Array.isArray(list) &&
    list.length === features.length &&
    list.every((x) => typeof x === 'number' && Number.isFinite(x) && check(x));
  const any = (): boolean => true;
  const isPlane =
    isVector(plane?.centre, any) &&
    isVector(plane?.scale, (x) => x > 0) &&
    isVector(plane?.weights, any) &&
    Number.isFinite(plane?.bias);
  if (!isPlane || plane === undefined) throw damaged('has no usable decision line');
  const isRest =
    typeof model === 'string' &&
    typeof force === 'boolean' &&
    Number.isFinite(cost) &&
    Number.isSafeInteger(fittedOn?.nominal) &&
    Number.isSafeInteger(fittedOn?.anomalous) &&
    Array.isArray(madeFrom) &&
    madeFrom.every((name) => typeof name === 'string');
  if (!isRest || fittedOn === undefined || cost === undefined) throw damaged('lacks fields');
  return { features, model, force, cost, fittedOn, madeFrom, plane };
}
