import { historyLevels } from '../../sequences/histories/levels.ts';
import { MixingExamples } from '../mixing/mixing-examples.ts';
import type { MixingInputs } from '../mixing/mixing-inputs.ts';
import type { MixingNetwork } from '../mixing/mixing-network.ts';
import { natsSaved, trainMixing } from '../mixing/train-mixing.ts';
import { EventFeatures } from './event-features.ts';
import { EventMixing, mixingShape } from './event-mixing.ts';
import { Mixture } from './mixture.ts';
import type { RunContexts } from './run-contexts.ts';
import type { JudgingTables } from './run-judge.ts';
import type { TrainingCounts } from './training-counts.ts';

const levels = historyLevels.length;

/** So many runs, evenly spread, teach a network ... */
const mostRuns = 60;
/** ... with up to so many of their events, later every second, every fourth, ... one. */
const mostExamples = 32_768;

/**
 * Trains the networks that correct mixtures: on the events of training runs of which the mixture is not sure, each
 * run without its own counts and with weights that it had no share in.
 *
 * @param counts  settled
 * @param own  contexts of the run before, which are forgotten
 * @param parts  tables with the weights of all runs but those of each part
 * @returns the network of all runs, then, by part, that of all runs of other parts; none where those of parts, asked
 *   about runs that they never saw, did no better than the mixture
 */
export function fitMixing(
  counts: TrainingCounts,
  own: RunContexts,
  parts: readonly JudgingTables[],
): readonly (MixingNetwork | undefined)[] {
  let examples = new MixingExamples();
  let stride = 1;
  let nth = 0;
  const step = Math.max(1, counts.runs / mostRuns);
  for (let at = 0; at < counts.runs; at += step) {
    const run = Math.floor(at);
    for (const unsure of unsureEvents(counts, own, run, parts[run % parts.length])) {
      if (nth++ % stride !== 0) continue;
      examples.add(unsure.inputs, run, unsure.came, unsure.probability);
      if (examples.length < mostExamples) continue;
      examples = examples.halved();
      stride *= 2;
    }
  }
  const networks = [-1, ...parts.keys()].map((part) =>
    trainMixing(mixingShape, examples, (run) => run % parts.length !== part),
  );
  const saved = parts.reduce((sum, _, part) => {
    const network = networks[1 + part];
    const isOfPart = (run: number): boolean => run % parts.length === part;
    return sum + (network === undefined ? 0 : natsSaved(network, examples, isOfPart));
  }, 0);
  return saved > 0 ? networks : networks.map(() => undefined);
}

/** An event that a mixture was not sure of. */
interface UnsureEvent {
  /** Overwritten by the next one. */
  readonly inputs: MixingInputs;
  /** Option that came, as in `MixingExamples.add`, and its probability. */
  readonly came: number;
  readonly probability: number;
}

function* unsureEvents(
  counts: TrainingCounts,
  own: RunContexts,
  run: number,
  { weights }: JudgingTables,
): Generator<UnsureEvent> {
  const { length, contexts, target, form, mark } = counts.leaveOut(run);
  own.begin(mark);
  const features = new EventFeatures();
  const mixture = new Mixture(weights);
  const mixing = new EventMixing();
  const { inputs } = mixing;
  for (let event = 0; event < length; event++) {
    own.comeKnown(contexts, event * levels);
    features.read(own, form[event]);
    mixture.weigh(features);
    if (mixing.read(own, features, mixture, form[event])) {
      const candidate = own.candidateOf(target[event]);
      const isNew = candidate < 0;
      yield {
        inputs,
        came: isNew ? inputs.options : mixing.optionOf(candidate),
        probability: isNew ? mixture.novel : mixture.probability[candidate],
      };
    }
    own.remember(target[event]);
  }
}
