import type { Predictions, WindowSet } from '../sequences/windows.ts';
import { calibrationError } from './calibration.ts';
import type { FitScore } from './first-layer.ts';

const ranks = [1, 3, 5, 10] as const;

/** How well predictions met their targets; windows weigh as often as they occurred. */
export function scorePredictions(windows: WindowSet, predictions: Predictions): FitScore {
  let occurrences = 0;
  let loss = 0;
  const within = ranks.map(() => 0);
  for (let i = 0; i < windows.length; i++) {
    const count = windows.counts[i];
    occurrences += count;
    loss -= count * Math.log(Math.max(predictions.targetProbability[i], 1e-30));
    ranks.forEach((k, index) => {
      if (predictions.targetRank[i] < k) within[index] += count;
    });
  }
  const share = (sum: number): number => (occurrences === 0 ? Number.NaN : sum / occurrences);
  return {
    loss: share(loss),
    accuracy: share(within[0]),
    topK: Object.fromEntries(ranks.map((k, index) => [k, share(within[index])])),
    calibrationError: calibrationError(
      predictions.confidence,
      predictions.predicted.map((predicted, i) => (predicted === windows.targets[i] ? 1 : 0)),
      windows.counts,
    ),
    windows: windows.length,
    occurrences,
  };
}
