import { calibrates, type NominalVerdicts, type Verdict } from '../../verdict/classify-nominal.ts';
import { conformalPValue } from '../../verdict/conformal.ts';
import {
  classicFeatures,
  type Feature,
  type FeatureName,
  featureTable,
} from '../../verdict/features/feature-table.ts';
import { feature, type TraceFeatures } from '../../verdict/features/features.ts';
import type {
  LabelledVerdict,
  LabelledVerdicts,
} from '../../verdict/labelled/classify-labelled.ts';
import type { Hyperplane } from '../../verdict/labelled/linear-svm.ts';
import type { ErrorRates, Measured } from '../../verdict/rates.ts';
import { rocCurve } from '../../verdict/statistics/ranking.ts';
import { evidenceOrder } from '../words/evidence-names.ts';
import { featureSentence, featureTitle } from '../words/feature-names.ts';
import { formatNumber, formatPercent, formatProbability } from '../words/numbers.ts';
import { inUnits, type Unit } from '../words/unit.ts';
import type {
  DecisionLine,
  EvidenceKind,
  Fact,
  FeatureValue,
  Figure,
  FigureData,
  ReportData,
  ReportRow,
  RocCurve,
  SkippedSample,
  TraceDetail,
} from './report-data.ts';

/** What a report says beside the verdicts. */
export interface ReportContext {
  readonly title: string;
  /** ISO 8601, UTC. */
  readonly created: string;
  readonly generator: string;
  /** Default `block`. */
  readonly unit?: Unit;
  readonly run: readonly Fact[];
  readonly skipped?: readonly SkippedSample[];
  readonly warnings?: readonly string[];
  /** What was found on looking into a trace, by the sample's name. */
  readonly details?: ReadonlyMap<string, TraceDetail>;
}

/** Reasons told for one trace. */
const reasonLimit = 5;

/** A report on verdicts from nominal calibration traces. */
export function reportOfNominal(result: NominalVerdicts, context: ReportContext): ReportData {
  const { bound, threshold, verdicts, shift } = result;
  const calibration = verdicts.filter((v) => calibrates(v.features));
  const alone = aloneAgainst(calibration.map((v) => v.features));
  const told = (text: string): string => inUnits(text, context.unit ?? 'block');
  const rows = verdicts.map((verdict): ReportRow => {
    const { role } = verdict.sample;
    return {
      ...rowOf(verdict.features, alone, context),
      // Traces that made the model or the threshold are shown for comparison, not judged.
      verdict: role !== 'test' ? undefined : verdict.isFlagged ? 'anomalous' : 'nominal',
      pValue: known(verdict.pValue),
      score: known(verdict.score),
      reasons: nominalReasons(verdict, threshold, bound.fpr).map(told),
    };
  });
  const warnings = [...(context.warnings ?? [])];
  if (shift.verdict === 'shifted') {
    warnings.push(
      `The ${shift.recent} traces not known to be anomalous score unlike the ${shift.calibration} calibration traces (p = ${formatProbability(shift.pValue)}): the program, its inputs or the recorder changed, or many of them are anomalous. The promised rate of false alarms does not hold for them.`,
    );
  }
  const scoresOf = (label: string): number[] =>
    verdicts
      .filter((v) => v.sample.role === 'test' && v.sample.label === label)
      .map((v) => v.score);
  return {
    ...frameOf(context),
    warnings,
    rule: {
      summary: `A trace is flagged when its p-value against ${bound.traces} nominal calibration traces is at most ${bound.fpr}. Expected rate of false alarms: ${formatPercent(bound.expected)}; with 95 % confidence at most ${formatPercent(bound.upper)}.`,
      scoreName: 'suspicion (nats)',
      threshold: known(threshold),
      falsePositiveRate: bound.fpr,
    },
    rows,
    figures: figuresOf(result.heldOut, 'All traces', 'By family'),
    roc: rocOf(
      `features: ${result.features}`,
      scoresOf('nominal'),
      scoresOf('anomalous'),
      result.heldOut,
    ),
    line: undefined,
  };
}

/** A report on the verdicts of a linear SVM. */
export function reportOfLabelled(result: LabelledVerdicts, context: ReportContext): ReportData {
  const { classifier, verdicts } = result;
  const used: ReadonlySet<string> = new Set(classifier.features);
  const alone = (): undefined => undefined;
  const told = (text: string): string => inUnits(text, context.unit ?? 'block');
  const rows = verdicts.map((verdict): ReportRow => {
    const row = rowOf(verdict.features, alone, context);
    return {
      ...row,
      verdict: verdict.isFlagged ? 'anomalous' : 'nominal',
      pValue: undefined,
      score: known(verdict.score),
      features: row.features.filter((f) => used.has(f.key)),
      reasons: labelledReasons(verdict, classifier.features).map(told),
    };
  });
  const judged = verdicts.filter((v) => v.crossValidated !== undefined);
  const scoresOf = (list: readonly LabelledVerdict[], label: string, cv: boolean): number[] =>
    list
      .filter((v) => v.sample.label === label)
      .flatMap((v) => (cv ? (v.crossValidated?.score ?? []) : v.score));
  const { crossValidation, fitted, measured } = result;
  const isLoaded = fitted.measuredOn === 'held out';
  const own = isLoaded
    ? 'Traces that did not make the classifier'
    : 'Traces that made the classifier';
  const force = classifier.force ? ', moved so that no nominal trace is flagged' : '';
  return {
    ...frameOf(context),
    warnings: [...(context.warnings ?? []), ...result.warnings],
    rule: {
      summary: `A trace is flagged when it lies on the anomalous side of a linear SVM (C = ${classifier.cost}${force}), fitted to ${classifier.fittedOn.nominal} nominal and ${classifier.fittedOn.anomalous} anomalous traces on ${classifier.features.map(featureTitle).join(' and ')}.`,
      scoreName: 'distance from the decision line (margins)',
      threshold: 0,
      falsePositiveRate: undefined,
    },
    rows,
    figures: [
      ...(crossValidation === undefined
        ? []
        : figuresOf(crossValidation, 'Cross-validation', 'Cross-validation, by family')),
      ...figuresOf(fitted, own, `${own}, by family`),
    ],
    roc: [
      ...(crossValidation === undefined
        ? []
        : rocOf(
            'cross-validation',
            scoresOf(judged, 'nominal', true),
            scoresOf(judged, 'anomalous', true),
            crossValidation,
          )),
      ...rocOf(
        isLoaded ? 'loaded classifier' : 'fitted data',
        scoresOf(measured, 'nominal', false),
        scoresOf(measured, 'anomalous', false),
        fitted,
      ),
    ],
    line: decisionLine(classifier.features, classifier.plane),
  };
}

function frameOf(
  context: ReportContext,
): Pick<ReportData, 'title' | 'unit' | 'created' | 'generator' | 'run' | 'skipped'> {
  const { title, created, generator, run } = context;
  return {
    title,
    unit: context.unit ?? 'block',
    created,
    generator,
    run,
    skipped: context.skipped ?? [],
  };
}

type Alone = (trace: TraceFeatures, feature: Feature) => number | undefined;

function rowOf(
  trace: TraceFeatures,
  alone: Alone,
  context: ReportContext,
): Omit<ReportRow, 'verdict' | 'pValue' | 'score' | 'reasons'> {
  const { sample } = trace;
  const value = (name: FeatureName): number => feature(trace, name);
  const evidenceCounts: Partial<Record<EvidenceKind, number>> = {};
  for (const kind of evidenceOrder) {
    const count = value(`evidence-${kind}`);
    if (count > 0) evidenceCounts[kind] = count;
  }
  return {
    name: sample.name,
    directory: sample.directory,
    file: sample.file,
    label: sample.label === 'unknown' ? undefined : sample.label,
    family: sample.family,
    role: sample.role,
    mispredictionRate: known(value('mispredictionRate')),
    wrongConfidence: known(value('wrongConfidence')),
    unknownBlockRate: known(value('unknownBlockRate')),
    blocks: value('blocks'),
    predictions: value('transfers'),
    gaps: value('gaps'),
    overflows: value('overflows'),
    bytesLost: known(value('bytesLost')),
    blocksOutsideImages: value('outsideBlocks'),
    crashed: value('crashed') > 0,
    evidenceCounts,
    features: featureTable
      // Counts of evidence that is not there would fill a screen with zeros.
      .filter(({ name, measure }) => value(name) !== 0 || measure.of !== 'evidence')
      .filter(({ name }) => !Number.isNaN(value(name)))
      .map(
        (shown): FeatureValue => ({
          key: shown.name,
          name: inUnits(featureTitle(shown.name), context.unit ?? 'block'),
          value: value(shown.name),
          pValue: alone(trace, shown),
        }),
      ),
    detail: context.details?.get(sample.name),
  };
}

/** p-values of single features against the calibration traces; a calibration trace against the others. */
function aloneAgainst(calibration: readonly TraceFeatures[]): Alone {
  const sorted = new Map<string, Float64Array>();
  return (trace, { name, layer }) => {
    // Long traces are no more suspicious than short ones.
    if (layer === 'chance' || trace.sample.role === 'training') return undefined;
    let values = sorted.get(name);
    if (values === undefined) {
      values = Float64Array.from(calibration, (other) => feature(other, name)).sort();
      sorted.set(name, values);
    }
    const own = feature(trace, name);
    if (trace.sample.role !== 'calibration') return conformalPValue(values, own);
    const at = values.indexOf(own);
    return conformalPValue(
      values.filter((_, index) => index !== at),
      own,
    );
  };
}

function nominalReasons(verdict: Verdict, threshold: number, fpr: number): string[] {
  const { role } = verdict.sample;
  const isLeftOut = verdict.features.isLeftOut === true;
  if (role === 'training' && !isLeftOut) {
    return ['Not judged: this trace trained the model, which predicts it better than any new one.'];
  }
  const p = formatProbability(verdict.pValue);
  const score = `score ${formatNumber(verdict.score)}, threshold ${formatNumber(threshold)}`;
  const rule =
    role !== 'test'
      ? `Not judged: this trace ${isLeftOut ? 'trained the model and, without its own counts, ' : ''}helped to set the threshold. p-value against the other calibration traces ${p}; ${score}.`
      : verdict.isFlagged
        ? `Flagged: p-value ${p} is at most ${fpr}; ${score}.`
        : `Not flagged: p-value ${p} is above ${fpr}; ${score}.`;
  const parts = verdict.reasons
    .filter((reason) => reason.points > 0)
    .slice(0, reasonLimit)
    .map((reason) => featureSentence(reason.feature, reason.value));
  return [rule, ...parts];
}

function labelledReasons(verdict: LabelledVerdict, names: readonly FeatureName[]): string[] {
  const side = verdict.isFlagged ? 'anomalous' : 'nominal';
  const cv = verdict.crossValidated;
  const parts = names
    .slice(0, reasonLimit)
    .map((name) => featureSentence(name, feature(verdict.features, name)));
  return [
    `On the ${side} side of the decision line, at ${formatNumber(Math.abs(verdict.score))} margins.`,
    ...(cv === undefined || cv.isFlagged === verdict.isFlagged
      ? []
      : [
          `A classifier that never saw this trace decides the other way: ${cv.isFlagged ? 'anomalous' : 'nominal'}.`,
        ]),
    ...parts,
  ];
}

const dataOf: Readonly<Record<Measured, FigureData>> = {
  'held out': 'held-out',
  'cross-validation': 'cross-validation',
  fitted: 'fitted',
};

function figuresOf(rates: ErrorRates, group: string, familyGroup: string): Figure[] {
  const data = dataOf[rates.measuredOn];
  const rate = (name: string, p: ErrorRates['recall'], under: string): Figure[] =>
    p.total === 0
      ? []
      : [
          {
            name,
            value: p.rate,
            low: p.interval.low,
            high: p.interval.high,
            confidence: 0.95,
            count: p.count,
            total: p.total,
            unit: 'rate',
            group: under,
            data,
          },
        ];
  const auc = (name: string, quality: ErrorRates['ranking'], under: string): Figure[] =>
    Number.isNaN(quality.auc)
      ? []
      : [
          {
            name,
            value: quality.auc,
            low: quality.interval.low,
            high: quality.interval.high,
            confidence: 0.95,
            count: undefined,
            total: undefined,
            unit: 'number',
            group: under,
            data,
          },
        ];
  return [
    ...rate('Anomalous traces found', rates.recall, group),
    ...rate('Nominal traces flagged', rates.falsePositives, group),
    ...auc('AUC', rates.ranking, group),
    ...rate('Precision', rates.precision, group),
    ...rate('Anomalous traces missed', rates.falseNegatives, group),
    ...rates.families.flatMap((family) => [
      ...rate(`${family.family} found`, family.recall, familyGroup),
      ...auc(`${family.family}, AUC`, family.ranking, familyGroup),
    ]),
  ];
}

function rocOf(
  name: string,
  nominal: readonly number[],
  anomalous: readonly number[],
  rates: ErrorRates,
): RocCurve[] {
  if (nominal.length === 0 || anomalous.length === 0) return [];
  const { auc, interval } = rates.ranking;
  return [
    {
      name,
      points: rocCurve(nominal, anomalous),
      area: auc,
      low: interval.low,
      high: interval.high,
      data: dataOf[rates.measuredOn],
    },
  ];
}

/** The SVM's plane over the two classic features, in their own units; other planes are no line here. */
function decisionLine(names: readonly string[], plane: Hyperplane): DecisionLine | undefined {
  const x = names.indexOf(classicFeatures[0]);
  const y = names.indexOf(classicFeatures[1]);
  if (names.length !== 2 || x < 0 || y < 0) return undefined;
  const weight = (i: number): number => plane.weights[i] / plane.scale[i];
  return {
    mispredictionWeight: weight(x),
    confidenceWeight: weight(y),
    bias: plane.bias - weight(x) * plane.centre[x] - weight(y) * plane.centre[y],
  };
}

function known(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : value;
}
