import { historyLevels } from '../../sequences/histories/levels.ts';
import { EventFeatures } from './event-features.ts';
import { fitMixing } from './fit-mixing.ts';
import { Mixture } from './mixture.ts';
import { HistoryModel } from './model.ts';
import { noveltyAt, noveltyCounts } from './novelty.ts';
import { type PlaceScale, PlaceScales, sitesOf } from './place-scales.ts';
import { RunContexts } from './run-contexts.ts';
import { type EventJudgements, type JudgingTables, judgeRun, type RunEvents } from './run-judge.ts';
import type { TrainingCounts } from './training-counts.ts';

const levels = historyLevels.length;

/**
 * Weights that judge a left-out run were learned on runs of other parts only: a run that had a share in them
 * would look better than a new one does.
 */
const parts = 3;

/** So many runs, evenly spread, tell the weights; there are a few thousand of them. */
const mostRuns = 60;

/** Rates at which the mixture learns, one a pass over all runs. */
const rates: readonly number[] = [0.1, 0.05];

/** How histories are weighed: by the mixture's weights alone, or corrected by a network. */
export const mixingKinds = ['weights', 'network'] as const;
export type MixingKind = (typeof mixingKinds)[number];

/** What training makes of counts. */
export interface FittedHistories {
  readonly model: HistoryModel;
  /** How all training runs go, each without itself, in order. */
  readonly leftOut: readonly LeftOutRun[];
}

/** How one training run goes when the model is asked without that run's counts. */
export interface LeftOutRun {
  readonly events: RunEvents;
  readonly judgements: EventJudgements;
}

/** Weights under way, and the runs that they are learned from. */
interface Learner {
  readonly mixture: Mixture;
  readonly novelty: Float64Array;
  readonly runs: ReadonlySet<number>;
}

/**
 * Learns from all training runs how far histories are to be believed: each run is judged without its own
 * counts, and what proves right there is what counts. The same is learned without each part of the runs, in
 * the same passes: what an event looks like does not depend on weights. Where it is asked for, networks that correct what they say;
 * then, how much each instruction surprises
 * in runs that are left out.
 *
 * @param counts  settled
 * @param inputClasses  of the vocabulary, and `outputClasses`
 */
export function fitHistories(
  counts: TrainingCounts,
  inputClasses: number,
  outputClasses: number,
  mixing: MixingKind = 'weights',
): FittedHistories {
  const isPart = counts.runs >= 2 * parts;
  const whole = learnerOf(counts, () => true);
  const others = Array.from({ length: isPart ? parts : 0 }, (_, part) =>
    learnerOf(counts, (run) => run % parts !== part),
  );
  const learners = [whole, ...others];
  const own = new RunContexts(counts.contexts, outputClasses);
  for (const [pass, rate] of rates.entries()) {
    for (let run = 0; run < counts.runs; run++) {
      const taking = learners.filter(({ runs }) => runs.has(run));
      if (taking.length > 0) learnRun(counts, own, run, taking, rate, pass === 0);
    }
  }
  const [tables, ...tablesOfParts]: readonly JudgingTables[] = learners.map(
    ({ mixture, novelty, runs }) => ({
      contexts: counts.contexts,
      places: outputClasses,
      runs: counts.runs,
      transfers: counts.transfers,
      // As a file holds them, so that what is loaded judges exactly like this.
      weights: mixture.weights.map(Math.fround),
      network: undefined,
      // As if all runs had been counted.
      novelty: novelty.map((count) => Math.fround((count * counts.runs) / runs.size)),
      pairs: counts.pairs,
      scales: new Map<number, PlaceScale>(),
    }),
  );
  const [network, ...networksOfParts] =
    isPart && mixing === 'network' ? fitMixing(counts, own, tablesOfParts) : [];
  const judging = isPart
    ? tablesOfParts.map((part, i) => ({ ...part, network: networksOfParts[i] }))
    : [tables];
  const scales = new PlaceScales();
  const judged = [...judgeLeftOut(counts, own, judging)].map((left) => ({
    ...left,
    own: scales.add(left.sites, left.events, left.judgements),
  }));
  return {
    model: new HistoryModel({ ...tables, network, scales: scales.all }, inputClasses),
    leftOut: judged.map(({ events, judgements, sites, own }) => ({
      events,
      judgements: { ...judgements, surprise: scales.without(own, sites, judgements) },
    })),
  };
}

/** @param isIn  whether a run takes part */
function learnerOf(counts: TrainingCounts, isIn: (run: number) => boolean): Learner {
  const all = Array.from({ length: counts.runs }, (_, run) => run).filter(isIn);
  const step = Math.max(1, all.length / mostRuns);
  const length = Math.min(all.length, mostRuns);
  const runs = Array.from({ length }, (_, i) => all[Math.floor(i * step)]);
  return { mixture: new Mixture(), novelty: new Float64Array(noveltyCounts), runs: new Set(runs) };
}

/**
 * @param own  contexts of the run before, which are forgotten
 * @param isCounted  whether new targets are counted by their sorts
 */
function learnRun(
  counts: TrainingCounts,
  own: RunContexts,
  run: number,
  learners: readonly Learner[],
  rate: number,
  isCounted: boolean,
): void {
  const { length, contexts, target, form, sort, mark } = counts.leaveOut(run);
  own.begin(mark);
  const features = new EventFeatures();
  for (let event = 0; event < length; event++) {
    own.comeKnown(contexts, event * levels);
    features.read(own, form[event]);
    const came = own.candidateOf(target[event]);
    for (const { mixture, novelty } of learners) {
      mixture.weigh(features);
      mixture.learn(features, came, rate);
      if (came < 0 && isCounted) novelty[noveltyAt(form[event], sort[event])]++;
    }
    own.remember(target[event]);
  }
}

/** Judges all training runs, each without itself. Scales of places are not known yet. */
function* judgeLeftOut(
  counts: TrainingCounts,
  own: RunContexts,
  tables: readonly JudgingTables[],
): Generator<LeftOutRun & { readonly sites: Int32Array }> {
  for (let run = 0; run < counts.runs; run++) {
    const events = counts.leaveOut(run);
    const { length, target, form, sort, count } = events;
    yield {
      // Contexts are large, and nobody needs them again.
      events: { length, target, form, sort, count },
      judgements: judgeRun(events, tables[run % tables.length], own),
      sites: sitesOf(length, events.contexts),
    };
  }
}
