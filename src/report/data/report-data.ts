import type { Evaluation } from '../../evaluation/evaluation.ts';
import type { Unit } from '../words/unit.ts';
import type { ClusterData } from './cluster-data.ts';
import type { Label, Role } from './label.ts';

export type EvidenceKind = Evaluation['evidence'][number]['kind'];

/**
 * Everything a report shows, as plain values: what `renderReport`, the tables and the JSON
 * document read. All strings may come from a trace and are escaped where they are shown.
 */
export interface ReportData {
  readonly title: string;
  readonly unit: Unit;
  /** ISO 8601, UTC. */
  readonly created: string;
  /** Program and version: `Wayward 0.1.0`. */
  readonly generator: string;
  /** Options, seed, model, versions, in the order to show them. */
  readonly run: readonly Fact[];
  readonly rule: VerdictRule;
  readonly rows: readonly ReportRow[];
  /** Error rates, AUC and the like; empty without labels. */
  readonly figures: readonly Figure[];
  readonly roc: readonly RocCurve[];
  /** Decision line of the linear SVM over the two classic features, when one was used. */
  readonly line: DecisionLine | undefined;
  readonly skipped: readonly SkippedSample[];
  /** Sentences the reader must know: a failed shift check, too few calibration traces. */
  readonly warnings: readonly string[];
  /** Which flagged traces are alike; absent when that was not looked at. */
  readonly clusters?: ClusterData | undefined;
}

export interface Fact {
  readonly name: string;
  readonly value: string;
}

/** How scores became verdicts. */
export interface VerdictRule {
  /** One sentence in plain English. */
  readonly summary: string;
  /** What `score` is, as an axis title: `surprise of the worst 5 transfers (nats)`. Larger is more suspicious. */
  readonly scoreName: string;
  /** Scores above it are anomalous; `undefined` when the verdict is not a cut of the score. */
  readonly threshold: number | undefined;
  /** False-positive rate that the user accepts, when the verdict is a p-value. */
  readonly falsePositiveRate: number | undefined;
}

/** One trace. Fields that could not be computed are `undefined`, never 0. */
export interface ReportRow {
  /** Name of the sample's folder; unique in a report. */
  readonly name: string;
  /** Sample folder, for links from CI systems. */
  readonly directory: string;
  /** Original file name. */
  readonly file: string;
  readonly label: Label | undefined;
  readonly family: string | undefined;
  readonly role: Role;
  /** `undefined`: no verdict was possible. */
  readonly verdict: Label | undefined;
  readonly pValue: number | undefined;
  /** Larger is more suspicious. */
  readonly score: number | undefined;
  readonly mispredictionRate: number | undefined;
  /** Mean confidence of the wrong predictions. */
  readonly wrongConfidence: number | undefined;
  readonly unknownBlockRate: number | undefined;
  readonly blocks: number;
  readonly predictions: number;
  readonly gaps: number;
  readonly overflows: number;
  readonly bytesLost: number | undefined;
  readonly blocksOutsideImages: number;
  /** Flow ended at an event and never came back: a crash, a kill, or the end of a recording. */
  readonly crashed: boolean;
  readonly evidenceCounts: Readonly<Partial<Record<EvidenceKind, number>>>;
  readonly features: readonly FeatureValue[];
  /** Why the verdict is what it is, strongest reason first, plain sentences. */
  readonly reasons: readonly string[];
  /** What a trace's own page shows beyond the row; absent for traces not looked into. */
  readonly detail: TraceDetail | undefined;
}

export interface FeatureValue {
  /** Stable, for programs: `worst-nll-5`. */
  readonly key: string;
  /** For people. */
  readonly name: string;
  readonly value: number;
  /** p-value of this feature alone against the calibration traces. */
  readonly pValue: number | undefined;
}

/** A figure with its interval and the data it was measured on. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly low: number | undefined;
  readonly high: number | undefined;
  /** Confidence of the interval, 0.95. */
  readonly confidence: number | undefined;
  /** Numerator and denominator where the figure is a count of traces. */
  readonly count: number | undefined;
  readonly total: number | undefined;
  readonly unit: 'rate' | 'number';
  /** Heading it stands under: `All traces`, `By family`. */
  readonly group: string;
  readonly data: FigureData;
}

/**
 * On which traces a figure was measured: `held-out` ones neither trained a model nor set a
 * threshold; `fitted` ones did, so the figure flatters.
 */
export type FigureData = 'held-out' | 'cross-validation' | 'fitted';

export interface RocCurve {
  readonly name: string;
  readonly points: readonly RocPoint[];
  readonly area: number;
  readonly low: number | undefined;
  readonly high: number | undefined;
  readonly data: FigureData;
}

/** Rates at one threshold; points run from (0, 0) to (1, 1). */
export interface RocPoint {
  readonly threshold: number;
  readonly falsePositiveRate: number;
  readonly truePositiveRate: number;
}

/** Anomalous where `mispredictionWeight * x + confidenceWeight * y + bias > 0`. */
export interface DecisionLine {
  readonly mispredictionWeight: number;
  readonly confidenceWeight: number;
  readonly bias: number;
}

export interface SkippedSample {
  readonly name: string;
  readonly reason: string;
}

export interface TraceDetail {
  readonly timeline: Timeline | undefined;
  /** How it was recorded: command line, program, recorder; as far as that is known. */
  readonly recording?: readonly Fact[];
  /** The nominal run that it is most like; absent where the model keeps none. */
  readonly nominal?: ReportComparison;
  /** The trace as pixels (`renderTracePicture`), PNG bytes. */
  readonly picture?: Uint8Array;
  /** Ranked, most suspicious first. */
  readonly patches: readonly ReportPatch[];
  readonly evidence: readonly ReportEvidence[];
  /** How many entries the list has in all; it may be cut. */
  readonly evidencePlaces?: number;
  /** How many pieces of evidence they stand for, each maybe for several transfers. */
  readonly evidenceTotal: number;
}

/** A trace beside the nominal run that ran most of the same code. */
export interface ReportComparison {
  /** Nominal runs compared with: those that trained. */
  readonly runs: number;
  readonly nearest: string;
  /** Distinct blocks that both ran, as a share of those that either did. */
  readonly similarity: number;
  /** Distinct blocks that only this trace ran, and that only the other one did. */
  readonly onlyHere: number;
  readonly onlyThere: number;
  /** Where this trace left the other's code for what the fewest nominal runs ran, in trace order. */
  readonly partings: readonly ReportParting[];
  readonly partingsTotal: number;
}

export interface ReportParting {
  readonly position: number;
  readonly from: string;
  readonly to: string;
  /** Nominal runs that ran the place that it left to. */
  readonly running: number;
}

/** A trace from its first block to its last, cut into equal bins. */
export interface Timeline {
  readonly blocks: number;
  /** Default `block`. */
  readonly unit?: Unit;
  readonly lanes: readonly TimelineLane[];
  readonly events: readonly TimelineEvent[];
}

export interface TimelineLane {
  readonly name: string;
  /** One mean a bin, 0..1; NaN where the bin holds nothing to average. */
  readonly mean: ArrayLike<number>;
  /** Worst short stretch in each bin, 0..1, where that says more than the mean. */
  readonly peak: ArrayLike<number> | undefined;
}

export interface TimelineEvent {
  readonly kind: EvidenceKind;
  /** Block index. */
  readonly position: number;
}

/** A stretch in which the trace strayed. */
export interface ReportPatch {
  /** Block indices, both inclusive. */
  readonly firstBlock: number;
  readonly lastBlock: number;
  /** Bytes from the start of the trace. */
  readonly traceOffset: number | undefined;
  /** Time stamp counter, when the trace has it. */
  readonly time: number | undefined;
  readonly score: number;
  readonly modules: readonly string[];
  readonly before: string | undefined;
  readonly inside: string | undefined;
  readonly after: string | undefined;
  /** Calls that were open when it began, the youngest first; absent where calls were not followed. */
  readonly callStack?: readonly string[];
  /**
   * Names the place by modules and offsets, so that it is the same wherever they are loaded:
   * `libxml2.so+0x3efe9>libc.so.6+0x28150`. Absent where the code was not looked at.
   */
  readonly fingerprint?: string;
  /** Where several patches are at the same place of the code: each of them, this one too, in trace order. */
  readonly occurrences?: readonly PlaceOccurrence[];
  /** Of the distinct blocks inside that are listed, those that every nominal run ran, and those that none did. */
  readonly nominal?: {
    readonly runs: number;
    readonly blocks: number;
    readonly inAll: number;
    readonly inNone: number;
  };
  /** Transfers in and around the patch, in trace order. */
  readonly transfers: readonly ReportTransfer[];
  readonly listing: readonly ListingLine[];
}

/** One of several times that a trace strayed at a place. */
export type PlaceOccurrence = Pick<
  ReportPatch,
  'firstBlock' | 'lastBlock' | 'traceOffset' | 'time' | 'score'
>;

export interface ReportTransfer {
  /** Block index of the block that made the transfer. */
  readonly position: number;
  readonly isInside: boolean;
  /** `module!function+offset`, an address, or empty when it is not known. */
  readonly from: string;
  readonly came: string;
  /**
   * Where it must have gone when the trace proves that, else the model's most probable target;
   * `undefined` when the model expected something it has no name for.
   */
  readonly expected: string | undefined;
  readonly expectedProbability: number | undefined;
  readonly cameProbability: number | undefined;
  /** What the code, training and this run said, in words; only where histories predicted. */
  readonly sources?: string;
  /** How many nominal runs make it where the code does not say so, and how many run the place it came to. */
  readonly nominal?: { readonly runs: number; readonly going: number; readonly running: number };
  /** Nats at the scale of the place, which verdicts rest on; only where histories predicted. */
  readonly surprise?: number;
  readonly isCorrect: boolean;
  readonly isUnknown: boolean;
  readonly evidence: EvidenceKind | undefined;
}

export interface ListingLine {
  readonly part: 'before' | 'inside' | 'after';
  readonly address: string;
  /** `module!function+offset` where a block starts, else empty. */
  readonly place: string;
  /** Line of source there, as `malloc.c:3301`; only where debug information is at hand. */
  readonly line?: string;
  readonly text: string;
}

export interface ReportEvidence {
  readonly kind: EvidenceKind;
  readonly position: number;
  readonly traceOffset: number | undefined;
  /** `module!function+offset`, an address, or empty when it is not known. */
  readonly from: string;
  readonly to: string;
  /** Where it should have gone, when that is one place. */
  readonly expected: string | undefined;
  /** How many transfers this stands for. */
  readonly count: number;
  /** Block of the last of them, where they are not in a row. */
  readonly lastPosition?: number;
  /** How many nominal runs of training hold it at the same place, and how many there were. */
  readonly nominal?: { readonly holding: number; readonly runs: number };
}
