import { basename } from 'node:path';
import type { RunContext } from '../../model/first-layer.ts';
import type { Sample } from '../../trace/sample.ts';
import { readSets } from '../../trace/sets-file.ts';
import type { LearnOptions } from '../training/options.ts';
import type { ChosenSets } from './choose-sets.ts';
import { dealSamples } from './deal.ts';
import type { SkippedSample } from './skipped.ts';
import { findSourceSamples } from './source.ts';

/** The samples of a root, and which of them serve for what. */
export interface ChosenSamples {
  readonly samples: readonly Sample[];
  readonly skipped: readonly SkippedSample[];
  readonly sets: ChosenSets;
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
  if (options.inputSets === undefined) {
    const { sets, duplicates } = await dealSamples(found.samples, options, context);
    for (const { directory, of } of duplicates) {
      skipped.push({ name: basename(directory), reason: `has the same trace as ${of}` });
    }
    return { samples: found.samples, skipped, sets };
  }
  const { sets, skipped: entries } = await readSets(options.inputSets, options.root);
  for (const { entry, reason } of entries) leaveOut(basename(entry), `${entry} ${reason}`);
  const known = new Set(found.samples.map(({ directory }) => directory));
  const kept = (list: readonly string[]): string[] =>
    list.filter((directory) => {
      if (known.has(directory)) return true;
      if (!found.skipped.some((item) => item.directory === directory)) {
        leaveOut(basename(directory), `${directory} is no sample`);
      }
      return false;
    });
  return {
    samples: found.samples,
    skipped,
    sets: {
      train: kept(sets.train),
      calibrate: kept(sets.calibrate),
      testNominal: kept(sets.testNominal),
      testAnomalous: kept(sets.testAnomalous),
    },
  };
}
