import { firstWeights } from './mixture.ts';
import { HistoryModel } from './model.ts';
import { noveltyCounts } from './novelty.ts';
import {
  type EventJudgements,
  type JudgingTables,
  judgeRun,
  type NamedEvents,
} from './run-judge.ts';
import type { TrainingCounts } from './training-counts.ts';

/**
 * Weights that judge a left-out run were learned on runs of other parts only: a run that had a share in them
 * would look better than a new one does.
 */
const parts = 3;

/** So many runs, evenly spread, tell the weights; there are a few thousand of them. */
const mostRuns = 60;

/** Rates at which the mixture learns, one a pass over all runs. */
const rates: readonly number[] = [0.1, 0.05];

/**
 * Learns from all training runs how far histories are to be believed: each run is judged without its own
 * counts, and what proves right there is what counts.
 *
 * @param counts  settled
 * @param inputClasses  of the vocabulary, and `outputClasses`
 */
export function fitHistories(
  counts: TrainingCounts,
  inputClasses: number,
  outputClasses: number,
): HistoryModel {
  return new HistoryModel(
    learnWeights(counts, outputClasses, () => true),
    inputClasses,
  );
}

/** @param isIn  whether a run takes part */
function learnWeights(
  counts: TrainingCounts,
  outputClasses: number,
  isIn: (run: number) => boolean,
): JudgingTables {
  const all = Array.from({ length: counts.runs }, (_, run) => run).filter(isIn);
  const step = Math.max(1, all.length / mostRuns);
  const runs = Array.from(
    { length: Math.min(all.length, mostRuns) },
    (_, i) => all[Math.floor(i * step)],
  );
  let tables: JudgingTables = {
    contexts: counts.contexts,
    places: outputClasses,
    runs: counts.runs,
    transfers: counts.transfers,
    mixture: firstWeights(),
    novelty: new Float64Array(noveltyCounts),
    pairs: counts.pairs,
  };
  for (const rate of rates) {
    // What is new is counted afresh with the better weights.
    tables = { ...tables, novelty: new Float64Array(noveltyCounts) };
    for (const run of runs) judgeRun(counts.leaveOut(run), tables, run, rate);
  }
  // As a file holds them, so that what is loaded judges exactly like this.
  const { mixture } = tables;
  const weights = mixture.weights.map(Math.fround);
  return { ...tables, mixture: { ...mixture, weights } };
}

/** How one training run goes when the model is asked without that run's counts. */
export interface LeftOutRun {
  readonly events: NamedEvents;
  readonly judgements: EventJudgements;
}

/** Judges all training runs, each without itself, in order. */
export function* judgeLeftOut(
  counts: TrainingCounts,
  outputClasses: number,
): Generator<LeftOutRun> {
  const isPart = counts.runs >= 2 * parts;
  const tables = Array.from({ length: isPart ? parts : 1 }, (_, part) =>
    learnWeights(counts, outputClasses, (run) => !isPart || run % parts !== part),
  );
  for (let run = 0; run < counts.runs; run++) {
    const events = counts.leaveOut(run);
    yield { events, judgements: judgeRun(events, tables[run % tables.length], run) };
  }
}
