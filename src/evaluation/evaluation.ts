import type { Label } from '../base/label.ts';
import type { Evidence } from '../evidence/evidence.ts';

/**
 * How the predictions of a first layer went on one trace: what the second layer reads.
 *
 * Predictions are stored once for each distinct window; `occurrences` spreads them over the trace.
 */
export interface Evaluation {
  readonly sample: SampleIdentity;
  /** Fingerprint of the model and vocabulary that predicted; evaluations of two models do not mix. */
  readonly model: string;
  readonly modelName: string;
  readonly trace: TraceFacts;
  readonly predictions: PredictionTable;
  /** Prediction index of each filtered transfer, in trace order. */
  readonly occurrences: Int32Array;
  /** Block index (blocks only, marks not counted, from 0) of the block that made each transfer. */
  readonly positions: Int32Array;
  /** Runs of blocks that the vocabulary does not know: pairs of block index and run length. */
  readonly unknownRuns: Int32Array;
  /** Control-flow facts that the trace proves by itself, in trace order. */
  readonly evidence: readonly Evidence[];
  /** Only where histories predicted. */
  readonly histories?: HistoryRecord;
  /** Only where histories predicted: transfers by their fingerprints. */
  readonly places?: NotedPlaces;
}

/** Transfers by their fingerprints: `module+0xOFFSET>module+0xOFFSET`. */
export interface NotedPlaces {
  /** Those that somebody found harmless, and how often they came: they surprise nobody. */
  readonly passedOver: readonly { readonly fingerprint: string; readonly times: number }[];
  /** The most surprising one of all others; `undefined` where it is outside every image. */
  readonly worst: string | undefined;
}

/**
 * What a model of histories tells beyond its predictions. It lists the transfers that neither the code nor
 * the run's own past explains; all others are right.
 */
export interface HistoryRecord {
  /** All transfers that are predicted, listed or not. */
  readonly transfers: number;
  /** Of them, those that went where the code says. */
  readonly explained: number;
  /** Number of each listed transfer among all of them, ascending. */
  readonly ordinals: Int32Array;
  readonly sources: SourceTable;
  /** Output classes from here on stand for `places`, which training never saw as targets. */
  readonly firstPlace: number;
  readonly places: PlaceList;
}

/** What the sources of each distinct prediction said, all arrays of their number. */
export interface SourceTable {
  /** What the code says of the target that came: index into `targetSorts`, and how many of the sort there are. */
  readonly sort: Uint8Array;
  readonly count: Int32Array;
  /** How many targets training saw this block go to. */
  readonly trainedTargets: Int32Array;
  /** In how many training runs the block went to the target that came, and how often before in this run; at most 8. */
  readonly trainedCount: Uint8Array;
  readonly shownCount: Uint8Array;
  /** Surprise of what came, in nats, at the scale of what nominal runs showed at the place; not negative. */
  readonly surprise: Float32Array;
}

/** Places in code, by module and offset. */
export interface PlaceList {
  readonly modules: readonly string[];
  readonly module: Int32Array;
  readonly offset: Float64Array;
}

/** @returns how many transfers were predicted, whether they are listed or not */
export function transfersOf({ occurrences, histories }: Evaluation): number {
  return histories?.transfers ?? occurrences.length;
}

export interface SampleIdentity {
  /** Name of the sample's folder. */
  readonly name: string;
  /** Absolute folder, for looking back into the trace. */
  readonly directory: string;
  /** Original file name: line 1 of info.txt. */
  readonly file: string;
  readonly label: Label;
  /** Line 3 of info.txt: a family or kind. */
  readonly family: string | undefined;
  /** What the trace was used for before. `test` = it neither trained a model nor set a threshold. */
  readonly role: 'training' | 'calibration' | 'test';
}

export interface TraceFacts {
  readonly blocks: number;
  readonly unknownBlocks: number;
  readonly gaps: number;
  readonly overflows: number;
  readonly bytesLost: number;
  /** Blocks outside every image. */
  readonly blocksOutsideImages: number;
  /** Flow of a thread ended at an event and never came back: a crash, a kill, or the end of a recording. */
  readonly crashed: boolean;
}

/** Distinct predictions, struct of arrays. Classes are output classes; 0 = unknown. */
export interface PredictionTable {
  readonly length: number;
  readonly predicted: Int32Array;
  readonly confidence: Float32Array;
  readonly actual: Int32Array;
  readonly actualProbability: Float32Array;
  /** 1 when training never saw this source block go to this target block. */
  readonly unseenTransfer: Uint8Array;
}
