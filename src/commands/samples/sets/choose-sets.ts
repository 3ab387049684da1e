import { UserError } from '../../../base/errors.ts';
import type { Label } from '../../../base/label.ts';
import { Random } from '../../../base/random.ts';

/** A sample as far as choosing needs it. */
export interface Candidate {
  readonly directory: string;
  readonly label: Label;
  /** Samples of one stratum are spread over the sets in proportion; line 3 of info.txt. */
  readonly family?: string | undefined;
  /** Hash of the trace. Of samples with the same one only the first is dealt out. */
  readonly content?: string;
}

/** A sample that was not dealt out, since another has the same trace. */
export interface Duplicate {
  readonly directory: string;
  /** The sample that stands for it. */
  readonly of: string;
}

export interface SetSizes {
  /** `undefined`: every nominal sample that neither tests nor calibrates. */
  readonly train: number | undefined;
  readonly testNominal: number;
  /** `undefined`: all. */
  readonly testAnomalous: number | undefined;
  /**
   * `undefined`: every nominal sample that neither trains nor tests; where `train` is not said either,
   * as many as serve best.
   */
  readonly calibrate: number | undefined;
  /** Training runs calibrate, too: the model can judge each without its own counts. */
  readonly trainingCalibrates?: boolean;
}

/** A rate of 5 % takes 19. */
const usualCalibration = 20;
const calibrationShare = 1 / 3;

/** @returns how many nominal samples calibrate beside those that train, where nobody says */
function fewestThatServe(nominal: number, trainingCalibrates: boolean): number {
  if (trainingCalibrates) return 0;
  const enough = Math.max(usualCalibration, Math.round(nominal * calibrationShare));
  return Math.min(enough, Math.floor(nominal / 2));
}

/** Which sample serves for what; directories, each in one list only. */
export interface ChosenSets {
  readonly train: readonly string[];
  readonly calibrate: readonly string[];
  readonly testNominal: readonly string[];
  readonly testAnomalous: readonly string[];
}

/** Makes something of each set. */
export function mapSets<From, To>(
  sets: Readonly<Record<keyof ChosenSets, From>>,
  of: (set: From) => To,
): Readonly<Record<keyof ChosenSets, To>> {
  return {
    train: of(sets.train),
    calibrate: of(sets.calibrate),
    testNominal: of(sets.testNominal),
    testAnomalous: of(sets.testAnomalous),
  };
}

/**
 * Keeps one of the samples whose traces are the same, so that none of them can train and be judged,
 * too. A trace that is both nominal and anomalous stays as nominal: nothing can tell the two apart.
 */
export function withoutDuplicates<T extends Candidate>(
  candidates: readonly T[],
): { readonly unique: readonly T[]; readonly duplicates: readonly Duplicate[] } {
  const first = new Map<string, string>();
  const unique: T[] = [];
  const duplicates: Duplicate[] = [];
  const sorted = [...candidates].sort(
    (a, b) =>
      Number(a.label === 'anomalous') - Number(b.label === 'anomalous') ||
      compare(a.directory, b.directory),
  );
  for (const candidate of sorted) {
    const { content, directory } = candidate;
    const before = content === undefined ? undefined : first.get(content);
    if (before !== undefined) {
      duplicates.push({ directory, of: before });
      continue;
    }
    if (content !== undefined) first.set(content, directory);
    unique.push(candidate);
  }
  return { unique, duplicates };
}

/**
 * Deals samples out by chance: training and test sets get the sizes asked for, calibration what is
 * left of the nominal ones. Families are spread over the sets in proportion to their sizes.
 *
 * @throws UserError `too-few-samples` when there are fewer samples than the sizes ask for
 */
export function chooseSets(
  candidates: readonly Candidate[],
  sizes: SetSizes,
  seed: number,
): ChosenSets {
  const random = new Random(seed);
  const deal = (label: Candidate['label']): readonly (readonly string[])[] => {
    const strata = new Map<string, string[]>();
    for (const { directory, family = '', ...candidate } of candidates) {
      if (candidate.label !== label) continue;
      const stratum = strata.get(family) ?? [];
      strata.set(family, stratum);
      stratum.push(directory);
    }
    // Sorted first, so that the order in which a file system lists folders does not matter.
    return [...strata]
      .sort(([a], [b]) => compare(a, b))
      .map(([, stratum]) => random.shuffle(stratum.sort(compare)));
  };
  const nominal = interleave(deal('nominal'), random);
  const anomalous = interleave(deal('anomalous'), random);
  const { testNominal, testAnomalous = anomalous.length, trainingCalibrates = false } = sizes;
  const left = Math.max(0, nominal.length - testNominal);
  const calibrate =
    sizes.calibrate ??
    (sizes.train === undefined ? fewestThatServe(left, trainingCalibrates) : undefined);
  const train = sizes.train ?? Math.max(1, left - (calibrate ?? 0));
  const wanted = train + testNominal + (calibrate ?? 0);
  const lacks = [
    nominal.length < wanted
      ? `${wanted} benign ones are asked for, ${nominal.length} are there`
      : '',
    anomalous.length < testAnomalous
      ? `${testAnomalous} malicious ones are asked for, ${anomalous.length} are there`
      : '',
  ].filter((lack) => lack !== '');
  if (lacks.length > 0) {
    throw new UserError('too-few-samples', `too few samples: ${lacks.join('; ')}`, {
      category: 'arguments',
    });
  }
  const afterTest = train + testNominal;
  return {
    train: nominal.slice(0, train),
    testNominal: nominal.slice(train, afterTest),
    calibrate: nominal.slice(afterTest, afterTest + (calibrate ?? nominal.length)),
    testAnomalous: anomalous.slice(0, testAnomalous),
  };
}

/**
 * Merges shuffled strata so that every run of the result holds each in proportion: the i-th of n
 * samples of a stratum stands near (i + 1/2) / n. One stratum keeps its order.
 */
function interleave(strata: readonly (readonly string[])[], random: Random): string[] {
  if (strata.length <= 1) return [...(strata[0] ?? [])];
  return strata
    .flatMap((stratum) => {
      // A small stratum must not always come in at the same place.
      const shift = random.uniform();
      return stratum.map((directory, i) => ({ directory, at: (i + shift) / stratum.length }));
    })
    .sort((a, b) => a.at - b.at || compare(a.directory, b.directory))
    .map(({ directory }) => directory);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
