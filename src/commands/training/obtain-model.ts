import { UserError } from '../../base/errors.ts';
import { removeAll } from '../../base/files/folder.ts';
import type { Evaluation } from '../../evaluation/evaluation.ts';
import type { FitScore, RunContext } from '../../model/first-layer.ts';
import { scorePredictions } from '../../model/score-windows.ts';
import type { Sample } from '../../trace/sample.ts';
import { shareModel } from '../run/shared-model.ts';
import { exportNetwork, saveTrained } from '../run/trained.ts';
import type { Evaluator, Trained } from '../samples/evaluating/evaluate.ts';
import type { SkippedSample } from '../samples/skipped.ts';
import { scoreEvaluations } from './score-evaluations.ts';
import { type StartingPoint, untrained } from './starting-point.ts';
import { type TrainingSummary, type TrainingWork, train, windowsFor } from './train.ts';
import { trainHistories } from './train-histories.ts';
import { countTrainingWindows } from './windows/count-windows.ts';

/** A first layer with what belongs to it, and how it came about. */
export interface ObtainedModel {
  readonly trained: Trained;
  /** `undefined` when nothing was trained. */
  readonly summary: TrainingSummary | undefined;
  /** Training samples that were left out. */
  readonly skipped: readonly SkippedSample[];
  /** Makes evaluations of the training samples by the model without their own counts, where it can tell. */
  readonly leftOut?: () => Iterable<Evaluation>;
}

/** Takes the model that is there, or trains one. @throws UserError */
export async function obtainModel(
  start: StartingPoint,
  samples: readonly Sample[],
  work: TrainingWork,
): Promise<ObtainedModel> {
  if (start.kind === 'run') return { trained: start.trained, summary: undefined, skipped: [] };
  if (start.kind === 'network' && work.options.skipTrain) {
    return { trained: untrained(start.network, start.vocabulary), summary: undefined, skipped: [] };
  }
  checkNominal(samples);
  const { model, context } = work.options;
  if (start.kind === 'nothing' && model === 'ngram' && context === 'histories') {
    return trainHistories(samples, work);
  }
  return train(start, samples, work);
}

/** Writes a model into the run's folder, and wherever else it was asked for. @throws UserError */
export async function keepModel(
  trained: Trained,
  { folder, options, reading }: TrainingWork,
): Promise<void> {
  await saveTrained(folder, trained, reading.filter);
  await exportNetwork(trained, options);
  if (options.store !== undefined) await shareModel(options.store, folder);
  await removeAll(folder.checkpoint);
}

/** How well a model predicts samples that it has not seen; `undefined` when that was not asked for. */
export async function testModel(
  evaluator: Evaluator,
  { vocabulary }: Trained,
  samples: readonly Sample[],
  { options, reading, context, clock }: TrainingWork,
): Promise<FitScore | undefined> {
  if (options.skipTest || samples.length === 0) return undefined;
  clock.start('testing');
  if (evaluator.predictions === undefined) {
    return scoreEvaluations(evaluateAll(evaluator, samples, context));
  }
  const counted = await countTrainingWindows(samples, reading.count, context);
  const windows = windowsFor(vocabulary, counted);
  return scorePredictions(windows, await evaluator.predictions.predict(windows, context));
}

/** Evaluations of samples that can be read, one after the other. */
async function* evaluateAll(
  evaluator: Evaluator,
  samples: readonly Sample[],
  context: RunContext,
): AsyncGenerator<Evaluation> {
  for (const sample of samples) {
    try {
      yield await evaluator.evaluate({ sample, role: 'test' }, context);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      context.log.log('warning', `left out: ${error.message}`);
    }
  }
}

/** @throws UserError `training-anomalous` */
function checkNominal(samples: readonly Sample[]): void {
  const wrong = samples.find(({ label }) => label === 'anomalous');
  if (wrong === undefined) return;
  throw new UserError(
    'training-anomalous',
    'is labelled malicious but stands in the training set',
    { category: 'input', path: wrong.directory },
  );
}
