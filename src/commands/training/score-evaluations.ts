import { type Evaluation, transfersOf } from '../../evaluation/evaluation.ts';
import type { FitScore } from '../../model/first-layer.ts';

/**
 * How well histories predict: of all transfers, those that the code explains and those that repeat
 * included, which are right.
 */
export async function scoreEvaluations(evaluations: AsyncIterable<Evaluation>): Promise<FitScore> {
  let transfers = 0;
  let listed = 0;
  let wrong = 0;
  let loss = 0;
  let gap = 0;
  for await (const evaluation of evaluations) {
    const { predictions, occurrences } = evaluation;
    transfers += transfersOf(evaluation);
    listed += occurrences.length;
    for (const row of occurrences) {
      const isRight = predictions.predicted[row] === predictions.actual[row];
      if (!isRight) wrong++;
      loss -= Math.log(Math.max(1e-30, predictions.actualProbability[row]));
      gap += predictions.confidence[row] - (isRight ? 1 : 0);
    }
  }
  const share = (sum: number): number => (transfers === 0 ? Number.NaN : sum / transfers);
  return {
    loss: share(loss),
    accuracy: 1 - share(wrong),
    topK: {},
    calibrationError: Math.abs(share(gap)),
    windows: listed,
    occurrences: transfers,
  };
}
