import type { Scheduler } from '../../workers/scheduler.ts';
import type { SampleSource } from '../samples/source.ts';
import type { SampleReading } from '../training/windows/count-windows.ts';
import { type CountSetup, countJob, readCount } from './count.ts';

/** Distinct windows that a worker holds at once: about 150 MB of 32 blocks each. */
const partSize = 1 << 20;

/**
 * Lets a scheduler count, and takes the counts in the order of the samples, so that the result is that
 * of counting here.
 *
 * @param out  folder for what was counted; the caller removes it
 */
export function countElsewhere(
  scheduler: Scheduler,
  { source, process, preprocessed, cpu }: SampleSource,
  out: string,
): SampleReading {
  return async (samples, { binDirs, rawImages, windowLength, filter, timeout }, take) => {
    const setup: CountSetup = {
      ...{ source, process, preprocessed, cpu, binDirs, rawImages, windowLength, partSize, out },
      ...{ filter: [...filter], timeout },
    };
    const outcomes = samples.map(({ directory }) => scheduler.submit(countJob(directory, setup)));
    // Each is awaited in its turn; until then its failure is not nobody's.
    for (const outcome of outcomes) outcome.catch(() => {});
    for (const [index, promise] of outcomes.entries()) {
      const outcome = await promise;
      if (outcome.status === 'failed') {
        take(index, { reason: `${samples[index].name}: ${outcome.reason}` });
        continue;
      }
      for (const message of await readCount(out, outcome.value)) take(index, message);
    }
  };
}
