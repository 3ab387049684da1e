import { feature, type TraceFeatures } from './features/features.ts';

/** Nothing strays in a run of which nothing was read: without images, or trace, an attack would be nominal. */
export function isNothingRead(features: TraceFeatures): boolean {
  // Evaluations in the ancestor's format count transfers only.
  return feature(features, 'blocks') === 0 && feature(features, 'transfers') === 0;
}

/** @returns why there is no verdict on such a run */
export function whyNothingRead(features: TraceFeatures): string {
  const gaps = feature(features, 'gaps');
  return gaps === 0
    ? 'nothing ran in it, so that there is nothing to judge'
    : `none of its code could be read (${gaps} gaps), so that there is nothing to judge: is its code in a --bin-dir?`;
}
