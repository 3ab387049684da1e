import { basename } from 'node:path';
import type { RunContext } from '../../model/first-layer.ts';
import type { Sample } from '../../trace/sample.ts';
import { readSets } from '../../trace/sets-file.ts';
import type { LearnOptions } from '../training/options.ts';
import { type ChosenSets, mapSets } from './choose-sets.ts';
import { dealSamples } from './deal.ts';
import type { SkippedSample } from './skipped.ts';
import { findSourceSamples } from './source.ts';

/** Which sample serves for what; each stands in one list only. */
export type SampleSets = Readonly<Record<keyof ChosenSets, readonly Sample[]>>;

/** The samples of a root that serve for something. */
export interface ChosenSamples {
  readonly skipped: readonly SkippedSample[];
  readonly sets: SampleSets;
}

/** Finds the samples and deals them out, or takes them from a sets file. @throws UserError */
export async function chooseSamples(
  options: LearnOptions,
  context: RunContext,
): Promise<ChosenSamples> {
  const found = await findSourceSamples(options.root, options);
  const skipped: SkippedSample[] = [];
  const leaveOut = (name: string, reason: string): void => {
    context.log.log('warning', `left out: ${reason}`);
    skipped.push({ name, reason });
  };
  for (const { directory, reason } of found.skipped) leaveOut(basename(directory), reason);
  const byDirectory = new Map(found.samples.map((sample) => [sample.directory, sample]));
  const kept = (list: readonly string[]): readonly Sample[] =>
    list.flatMap((directory) => {
      const sample = byDirectory.get(directory);
      if (sample !== undefined) return [sample];
      if (!found.skipped.some((item) => item.directory === directory)) {
        leaveOut(basename(directory), `${directory} is no sample`);
      }
      return [];
    });
  if (options.inputSets === undefined) {
    const { sets, duplicates } = await dealSamples(found.samples, options, context);
    for (const { directory, of } of duplicates) {
      skipped.push({ name: basename(directory), reason: `has the same trace as ${of}` });
    }
    return { skipped, sets: mapSets(sets, kept) };
  }
  const { sets, skipped: entries } = await readSets(options.inputSets, options.root);
  for (const { entry, reason } of entries) leaveOut(basename(entry), `${entry} ${reason}`);
  return {
    skipped,
    sets: mapSets(sets, kept),
  };
}
