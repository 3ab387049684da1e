import type { Evaluation, SampleIdentity } from '../src/evaluation/evaluation.ts';
import type { Evidence } from '../src/evidence/evidence.ts';

/** For tests: an evaluation with the given predictions, one occurrence each, four blocks apart. */
export function exampleEvaluation(
  rows: readonly {
    readonly predicted: number;
    readonly actual: number;
    readonly confidence: number;
    readonly p?: number;
    readonly unseen?: boolean;
  }[],
  more: {
    readonly sample?: Partial<SampleIdentity>;
    readonly unknownRuns?: readonly number[];
    readonly evidence?: readonly Evidence[];
    readonly model?: string;
    readonly occurrences?: readonly number[];
  } = {},
): Evaluation {
  const occurrences = Int32Array.from(more.occurrences ?? rows.map((_, index) => index));
  const unknownRuns = Int32Array.from(more.unknownRuns ?? []);
  let unknownBlocks = 0;
  for (let i = 1; i < unknownRuns.length; i += 2) unknownBlocks += unknownRuns[i];
  return {
    sample: {
      name: 'one',
      directory: '/samples/one',
      file: 'one.pdf',
      label: 'nominal',
      family: undefined,
      role: 'test',
      ...more.sample,
    },
    model: more.model ?? 'abc',
    modelName: 'ngram',
    trace: {
      blocks: 4 * occurrences.length + 100,
      unknownBlocks,
      gaps: 0,
      overflows: 0,
      bytesLost: 0,
      blocksOutsideImages: 0,
      crashed: false,
    },
    predictions: {
      length: rows.length,
      predicted: Int32Array.from(rows, (row) => row.predicted),
      confidence: Float32Array.from(rows, (row) => row.confidence),
      actual: Int32Array.from(rows, (row) => row.actual),
      actualProbability: Float32Array.from(
        rows,
        (row) =>
          row.p ?? (row.predicted === row.actual ? row.confidence : (1 - row.confidence) / 9),
      ),
      unseenTransfer: Uint8Array.from(rows, (row) => (row.unseen ? 1 : 0)),
    },
    occurrences,
    positions: Int32Array.from(occurrences, (_, index) => 4 * index),
    unknownRuns,
    evidence: more.evidence ?? [],
  };
}

/** For tests: the same as if histories had predicted, 10 transfers apart; all targets of one sort. */
export function withHistories(evaluation: Evaluation, sort = 0): Evaluation {
  const { predictions, occurrences } = evaluation;
  const { length } = predictions;
  return {
    ...evaluation,
    histories: {
      transfers: 10 * occurrences.length + 1,
      explained: 7 * occurrences.length,
      ordinals: Int32Array.from(occurrences, (_, index) => 10 * index),
      sources: {
        sort: new Uint8Array(length).fill(sort),
        count: Int32Array.from({ length }, (_, i) => 1 + 1000 * i),
        trainedTargets: Int32Array.from({ length }, (_, i) => i),
        trainedCount: Uint8Array.from({ length }, (_, i) => i % 4),
        shownCount: Uint8Array.from({ length }, (_, i) => i % 9),
        // Half of what the chance tells, as if 2 nats were usual.
        surprise: predictions.actualProbability.map((p) => Math.max(0, -Math.log(p) / 2)),
      },
      firstPlace: 7,
      places: {
        modules: ['libc.so.6'],
        module: Int32Array.of(0, 0),
        offset: Float64Array.of(4096, -16),
      },
    },
  };
}
