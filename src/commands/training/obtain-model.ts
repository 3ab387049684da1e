import { removeAll } from '../../base/files.ts';
import type { FitScore } from '../../model/first-layer.ts';
import { scorePredictions } from '../../model/score-windows.ts';
import type { Sample } from '../../trace/sample.ts';
import { shareModel } from '../run/shared-model.ts';
import { exportNetwork, saveTrained } from '../run/trained.ts';
import type { Evaluator, Trained } from '../samples/evaluate.ts';
import type { SkippedSample } from '../samples/skipped.ts';
import { countTrainingWindows } from './count-windows.ts';
import { type StartingPoint, untrained } from './starting-point.ts';
import { type TrainingSummary, type TrainingWork, train, windowsFor } from './train.ts';

/** A first layer with what belongs to it, and how it came about. */
export interface ObtainedModel {
  readonly trained: Trained;
  /** `undefined` when nothing was trained. */
  readonly summary: TrainingSummary | undefined;
  /** Training samples that were left out. */
  readonly skipped: readonly SkippedSample[];
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
  const counted = await countTrainingWindows(samples, reading.count, context);
  const windows = windowsFor(vocabulary, counted);
  return scorePredictions(windows, await evaluator.predictions.predict(windows, context));
}
