import { basename } from 'node:path';
import type { RunContext } from '../../../model/first-layer.ts';
import type { Sample } from '../../../trace/sample.ts';
import { readSets } from '../../../trace/sets-file.ts';
import type { LearnOptions } from '../../training/options.ts';
import type { SkippedSample } from '../skipped.ts';
import { findSourceSamples } from '../source.ts';
import { type ChosenSets, mapSets } from './choose-sets.ts';
import { dealSamples } from './deal.ts';

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
  const found = withLabels(await findSourceSamples(options.root, options), context);
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
    const { context: kind, sizes } = options;
    const trainingCalibrates = kind === 'histories';
    const { sets, duplicates } = await dealSamples(
      found.samples,
      { ...options, sizes: { ...sizes, trainingCalibrates } },
      context,
    );
    tellSets(sets, trainingCalibrates, context);
    for (const { directory, of } of duplicates) {
      skipped.push({ name: basename(directory), reason: `has the same trace as ${of}` });
    }
    return { skipped, sets: mapSets(sets, kept) };
  }
  const { sets, skipped: entries } = await readSets(options.inputSets, options.root);
  for (const { entry, reason } of entries) leaveOut(basename(entry), `${entry} ${reason}`);
  const chosen = mapSets(sets, kept);
  const benign = chosen.testAnomalous.filter(({ label }) => label === 'nominal');
  if (benign[0] !== undefined) {
    context.log.log(
      'warning',
      `${benign.length} of ${chosen.testAnomalous.length} samples in [m_test] are labelled benign by their info.txt, and count as such; the first is ${benign[0].name}`,
    );
  }
  return { skipped, sets: chosen };
}

/** Runs of no known label are harmless ones here: to learn from them is what was asked for. */
function withLabels(
  found: Awaited<ReturnType<typeof findSourceSamples>>,
  context: RunContext,
): typeof found {
  const unknown = found.samples.filter(({ label }) => label === 'unknown').length;
  if (unknown === 0) return found;
  context.log.log(
    'info',
    `${unknown} of ${found.samples.length} samples have no label: taken as benign, since they are to be learned from`,
  );
  const samples = found.samples.map(
    (sample): Sample => (sample.label === 'unknown' ? { ...sample, label: 'nominal' } : sample),
  );
  return { ...found, samples };
}

function tellSets(sets: ChosenSets, trainingCalibrates: boolean, context: RunContext): void {
  const { train, calibrate, testNominal, testAnomalous } = sets;
  const calibrating = trainingCalibrates
    ? 'each of which calibrates, too, judged without its own counts'
    : `${calibrate.length} calibrate`;
  const judged = testNominal.length + testAnomalous.length;
  context.log.log(
    'info',
    `${train.length} benign samples train, ${calibrating}${judged === 0 ? '' : `; ${judged} are judged`}`,
  );
}
