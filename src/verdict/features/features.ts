import { assert } from '../../base/errors.ts';
import type { Evaluation, SampleIdentity } from '../../evaluation/evaluation.ts';
import { columnOf, type FeatureName, featureTable } from './feature-table.ts';
import { Measurement } from './measurement.ts';

/** What one evaluation amounts to: a few dozen numbers, so that the evaluation can be let go. */
export interface TraceFeatures {
  readonly sample: SampleIdentity;
  readonly model: string;
  /** In the order of `featureTable`; NaN = this evaluation does not say. */
  readonly values: Float64Array;
  /** A training run that was judged without its own counts, as if it had trained nothing. */
  readonly isLeftOut?: boolean;
}

/** @returns the value of a named feature */
export function feature(trace: TraceFeatures, name: FeatureName): number {
  const column = columnOf(name);
  assert(column !== undefined, `there is no feature "${name}"`);
  return trace.values[column];
}

export function computeFeatures(evaluation: Evaluation): TraceFeatures {
  const measurement = new Measurement(evaluation);
  const values = Float64Array.from(featureTable, ({ measure }) => measurement.value(measure));
  return { sample: evaluation.sample, model: evaluation.model, values };
}
