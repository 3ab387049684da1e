import { UserError } from '../base/errors.ts';
import { wordOf } from '../base/label.ts';
import { entriesOf } from '../base/values.ts';
import type { RunContext } from '../model/first-layer.ts';
import type { Sample } from '../trace/sample.ts';
import { readSets, type Sets, writeSets } from '../trace/sets-file.ts';
import { layoutOf } from './samples/layout.ts';
import type { ChosenSets, Duplicate, SetSizes } from './samples/sets/choose-sets.ts';
import { dealSamples, hashSamples } from './samples/sets/deal.ts';
import type { SkippedSample } from './samples/skipped.ts';
import { findSourceSamples, readSourceSample, type SampleSource } from './samples/source.ts';

export interface MadeSets {
  readonly sets: ChosenSets;
  readonly duplicates: readonly Duplicate[];
  readonly skipped: readonly SkippedSample[];
}

/** Deals the samples of a root out as `learn` does and writes the sets file. @throws UserError */
export async function makeSets(
  options: SampleSource & {
    readonly root: string;
    readonly output: string;
    readonly sizes: SetSizes;
    readonly seed: number;
  },
  context: RunContext,
): Promise<MadeSets> {
  const found = await findSourceSamples(layoutOf(options.root, []).samples, options);
  const { sets, duplicates } = await dealSamples(found.samples, options, context);
  await writeSets(options.output, sets);
  const skipped = found.skipped.map(({ directory, reason }) => ({ name: directory, reason }));
  return { sets, duplicates, skipped };
}

export interface CheckedSets {
  readonly sets: Sets;
  /** What is wrong with the file, a sentence each. */
  readonly problems: readonly string[];
}

/**
 * Checks a sets file: every entry is a whole sample, with the label of its list, and no trace stands
 * in it twice.
 *
 * @throws UserError when the file cannot be read as one
 */
export async function checkSets(
  path: string,
  source: SampleSource,
  context: RunContext,
): Promise<CheckedSets> {
  const { sets, skipped } = await readSets(path, '/');
  const problems = skipped.map(({ entry, reason }) => `${entry}: ${reason}`);
  const samples: Sample[] = [];
  const listOf = new Map<string, keyof Sets>();
  for (const [key, list] of entriesOf(sets)) {
    for (const directory of list) {
      listOf.set(directory, key);
      try {
        const sample = await readSourceSample(directory, source);
        samples.push(sample);
        const isWrong =
          sample.label !== 'unknown' &&
          (sample.label === 'anomalous') !== (key === 'testAnomalous');
        const label = wordOf(sample.label);
        if (isWrong)
          problems.push(`${directory}: is labelled ${label} but stands in [${headerOf(key)}]`);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        problems.push(error.message);
      }
    }
  }
  const first = new Map<string, string>();
  for (const { directory, content } of await hashSamples(samples, source.preprocessed, context)) {
    if (content === undefined) {
      problems.push(`${directory}: its trace cannot be read`);
      continue;
    }
    const before = first.get(content);
    if (before === undefined) first.set(content, directory);
    else {
      const lists = [before, directory].map((one) => `[${headerOf(listOf.get(one) ?? 'train')}]`);
      problems.push(`${directory} in ${lists[1]}: has the same trace as ${before} in ${lists[0]}`);
    }
  }
  return { sets, problems };
}

function headerOf(key: keyof Sets): string {
  return {
    train: 'b_train',
    calibrate: 'b_calibrate',
    testNominal: 'b_test',
    testAnomalous: 'm_test',
  }[key];
}
