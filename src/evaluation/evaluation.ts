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
