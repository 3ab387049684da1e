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
  let tables: JudgingTables = {
    contexts: counts.contexts,
    places: outputClasses,
    runs: counts.runs,
    transfers: counts.transfers,
    mixture: firstWeights(),
    novelty: new Float64Array(noveltyCounts),
  };
  for (const rate of rates) {
    // What is new is counted afresh with the better weights.
    tables = { ...tables, novelty: new Float64Array(noveltyCounts) };
    for (let run = 0; run < counts.runs; run++) judgeRun(counts.leaveOut(run), tables, run, rate);
  }
  // As a file holds them, so that what is loaded judges exactly like this.
  const { mixture } = tables;
  const weights = mixture.weights.map(Math.fround);
  return new HistoryModel({ ...tables, mixture: { ...mixture, weights } }, inputClasses);
}

/** @returns how one training run goes when the model is asked without that run's counts */
export function judgeLeftOut(
  model: HistoryModel,
  counts: TrainingCounts,
  run: number,
): { readonly events: NamedEvents; readonly judgements: EventJudgements } {
  const events = counts.leaveOut(run);
  return { events, judgements: judgeRun(events, model.tables, run) };
}
