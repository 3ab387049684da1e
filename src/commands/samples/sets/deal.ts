import { mapConcurrently } from '../../../base/concurrent.ts';
import { UserError } from '../../../base/errors.ts';
import type { RunContext } from '../../../model/first-layer.ts';
import { hashContent, markContent } from '../../../trace/content-hash.ts';
import type { Sample } from '../../../trace/sample.ts';
import {
  type ChosenSets,
  chooseSets,
  type Duplicate,
  type SetSizes,
  withoutDuplicates,
} from './choose-sets.ts';

/** A sample with the hash of its trace; none when the trace cannot be read. */
export type HashedSample = Sample & { readonly content?: string };

/** Files that are read at the same time. */
const width = 16;

/** Hashes the traces of samples. One that cannot be read gets no hash; who reads it will name it. */
export async function hashSamples(
  samples: readonly Sample[],
  preprocessed: boolean,
  context: RunContext,
): Promise<readonly HashedSample[]> {
  return mapConcurrently(samples, width, async (sample, done) => {
    context.signal?.throwIfAborted();
    context.progress({ step: 'comparing traces', done, total: samples.length, unit: 'traces' });
    try {
      const content = await hashContent(sample, preprocessed, context.signal);
      return content === undefined ? sample : { ...sample, content };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return sample;
    }
  });
}

/**
 * As `hashSamples`, but hashes only those that may have a copy among the others: of each trace a mark
 * is taken that needs no inflating, and only traces with the same mark are read whole.
 */
async function hashCopies(
  samples: readonly Sample[],
  preprocessed: boolean,
  context: RunContext,
): Promise<readonly HashedSample[]> {
  const marks = await mapConcurrently(samples, width, async (sample, done) => {
    context.signal?.throwIfAborted();
    context.progress({ step: 'looking for copies', done, total: samples.length, unit: 'traces' });
    try {
      return await markContent(sample, preprocessed);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return `${error.message} ${done}`;
    }
  });
  // A stored trace may be that of any raw one: its own form has no mark of what it was made from.
  const isMixed = marks.includes(undefined);
  const uses = new Map<string, number>();
  for (const mark of marks) if (mark !== undefined) uses.set(mark, (uses.get(mark) ?? 0) + 1);
  const suspects = samples.filter((_, i) => isMixed || (uses.get(marks[i] ?? '') ?? 0) > 1);
  const hashed = new Map<Sample, HashedSample>();
  for (const [i, one] of (await hashSamples(suspects, preprocessed, context)).entries()) {
    hashed.set(suspects[i], one);
  }
  return samples.map((sample) => hashed.get(sample) ?? sample);
}

/** Deals samples out, leaving out those whose trace another one has, and says so. @throws UserError */
export async function dealSamples(
  samples: readonly Sample[],
  options: { readonly sizes: SetSizes; readonly seed: number; readonly preprocessed: boolean },
  context: RunContext,
): Promise<{ readonly sets: ChosenSets; readonly duplicates: readonly Duplicate[] }> {
  const hashed = await hashCopies(samples, options.preprocessed, context);
  const { unique, duplicates } = withoutDuplicates(hashed);
  for (const { directory, of } of duplicates) {
    context.log.log('warning', `left out: ${directory} has the same trace as ${of}`);
  }
  // Runs of no known label are dealt out as harmless ones.
  const known = unique.map((sample) =>
    sample.label === 'unknown' ? { ...sample, label: 'nominal' as const } : sample,
  );
  return { sets: chooseSets(known, options.sizes, options.seed), duplicates };
}
