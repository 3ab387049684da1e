import { evidenceKinds } from '../evidence/rules.ts';

/**
 * What a feature is measured from: the predictions of the first layer; what the trace proves by itself;
 * how whole the trace is; or nothing suspicious, only how many chances for it there were.
 */
export type FeatureLayer = 'first-layer' | 'evidence' | 'damage' | 'chance';

/** Features that come from anything but predictions. */
const others: ReadonlyMap<string, FeatureLayer> = new Map<string, FeatureLayer>([
  ...evidenceKinds.map((kind) => [`evidence-${kind}`, 'evidence'] as const),
  ['hint-weight', 'evidence'],
  ['crashed', 'evidence'],
  ['gaps', 'damage'],
  ['overflows', 'damage'],
  ['bytesLost', 'damage'],
  ['outsideBlocks', 'damage'],
  ['transfers', 'chance'],
  ['blocks', 'chance'],
]);

export function layerOf(name: string): FeatureLayer {
  return others.get(name) ?? 'first-layer';
}
