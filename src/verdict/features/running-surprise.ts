import { featureNames, surpriseName } from './feature-table.ts';
import type { TraceFeatures } from './features.ts';
import { countedSurprise, crowdedSurprise } from './place-surprise.ts';
import { CrowdedSum, surpriseLengths } from './worst-window.ts';

const columns = surpriseLengths.map((length) => featureNames.indexOf(surpriseName(length)));

/** The features by which runs of histories are judged, kept while a run goes on. They only grow. */
export class RunningSurprise {
  readonly #sums: readonly CrowdedSum[] = surpriseLengths.map((length) => new CrowdedSum(length));

  /**
   * @param surprise  of a transfer, in nats at the scale of its place
   * @param sort  of its target, index into `targetSorts`
   * @param position  block index, ascending
   * @returns whether a feature has grown
   */
  push(surprise: number, sort: number, position: number): boolean {
    const single = countedSurprise(surprise, sort);
    const crowded = crowdedSurprise(surprise, sort);
    let hasGrown = false;
    for (const [i, sum] of this.#sums.entries()) {
      if (sum.push(surpriseLengths[i] === 1 ? single : crowded, position)) hasGrown = true;
    }
    return hasGrown;
  }

  /** As `computeFeatures`; what is not asked for here is NaN. */
  features(): TraceFeatures {
    return featuresFrom(this.#sums.map(({ worst }) => worst));
  }

  /** Of a run, from those of its parts. */
  static largest(parts: readonly TraceFeatures[]): TraceFeatures {
    return featuresFrom(
      columns.map((column) => Math.max(0, ...parts.map(({ values }) => values[column]))),
    );
  }
}

function featuresFrom(worst: readonly number[]): TraceFeatures {
  const values = new Float64Array(featureNames.length).fill(Number.NaN);
  for (const [i, column] of columns.entries()) values[column] = worst[i];
  const sample = {
    ...{ name: '', directory: '', file: '', family: undefined },
    ...{ label: 'unknown' as const, role: 'test' as const },
  };
  return { sample, model: '', values };
}
