import { UserError } from '../../base/errors.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { hashContent } from '../../trace/content-hash.ts';
import type { Sample } from '../../trace/sample.ts';
import {
  type ChosenSets,
  chooseSets,
  type Duplicate,
  type SetSizes,
  withoutDuplicates,
} from './choose-sets.ts';

/** A sample with the hash of its trace; none when the trace cannot be read. */
export type HashedSample = Sample & { readonly content?: string };

/** Hashes the traces of samples. One that cannot be read gets no hash; who reads it will name it. */
export async function hashSamples(
  samples: readonly Sample[],
  preprocessed: boolean,
  context: RunContext,
): Promise<readonly HashedSample[]> {
  const hashed: HashedSample[] = [];
  for (const [done, sample] of samples.entries()) {
    context.signal?.throwIfAborted();
    context.progress({ step: 'comparing traces', done, total: samples.length, unit: 'traces' });
    try {
      const content = await hashContent(sample, preprocessed, context.signal);
      hashed.push(content === undefined ? sample : { ...sample, content });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      hashed.push(sample);
    }
  }
  return hashed;
}

/** Deals samples out, leaving out those whose trace another one has, and says so. @throws UserError */
export async function dealSamples(
  samples: readonly Sample[],
  options: { readonly sizes: SetSizes; readonly seed: number; readonly preprocessed: boolean },
  context: RunContext,
): Promise<{ readonly sets: ChosenSets; readonly duplicates: readonly Duplicate[] }> {
  const hashed = await hashSamples(samples, options.preprocessed, context);
  const { unique, duplicates } = withoutDuplicates(hashed);
  for (const { directory, of } of duplicates) {
    context.log.log('warning', `left out: ${directory} has the same trace as ${of}`);
  }
  return { sets: chooseSets(unique, options.sizes, options.seed), duplicates };
}
