import { UserError } from '../base/errors.ts';
import { Random } from '../base/random.ts';

/** A sample as far as choosing needs it. */
export interface Candidate {
  readonly directory: string;
  readonly label: 'nominal' | 'anomalous';
}

export interface SetSizes {
  readonly train: number;
  readonly testNominal: number;
  readonly testAnomalous: number;
  /** `undefined`: every nominal sample that neither trains nor tests. */
  readonly calibrate: number | undefined;
}

/** Which sample serves for what; directories, each in one list only. */
export interface ChosenSets {
  readonly train: readonly string[];
  readonly calibrate: readonly string[];
  readonly testNominal: readonly string[];
  readonly testAnomalous: readonly string[];
}

/**
 * Deals samples out by chance: training and test sets get the sizes asked for, calibration what is
 * left of the nominal ones.
 *
 * @throws UserError `too-few-samples` when there are fewer samples than the sizes ask for
 */
export function chooseSets(
  candidates: readonly Candidate[],
  sizes: SetSizes,
  seed: number,
): ChosenSets {
  const random = new Random(seed);
  const deal = (label: Candidate['label']): string[] =>
    // Sorted first, so that the order in which a file system lists folders does not matter.
    random.shuffle(
      candidates
        .filter((candidate) => candidate.label === label)
        .map(({ directory }) => directory)
        .sort(),
    );
  const nominal = deal('nominal');
  const anomalous = deal('anomalous');
  const { train, testNominal, testAnomalous } = sizes;
  const wanted = train + testNominal + (sizes.calibrate ?? 0);
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
    calibrate: nominal.slice(afterTest, afterTest + (sizes.calibrate ?? nominal.length)),
    testAnomalous: anomalous.slice(0, testAnomalous),
  };
}
