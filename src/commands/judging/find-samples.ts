import { basename, resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { statusOf } from '../../base/files/exists.ts';
import type { RunContext } from '../../model/first-layer.ts';
import type { Sample, Skipped } from '../../trace/sample.ts';
import { layoutOf } from '../samples/layout.ts';
import type { SkippedSample } from '../samples/skipped.ts';
import { readSourceSample, type SampleSource, sourceSamplesAt } from '../samples/source.ts';

/** What lies at the paths that a user named. */
export interface FoundSamples {
  /** No two of one name. */
  readonly samples: readonly Sample[];
  readonly skipped: SkippedSample[];
  /** Folders of images: those that were named, else those beside the samples. */
  readonly binDirs: readonly string[];
}

/**
 * Finds the samples at some paths: each a sample, or a folder of them. What cannot be read is left out and named.
 *
 * @param binDirs  folders of images that were named
 * @throws UserError `no-samples` when there is none at all
 */
export async function findSamplesAt(
  paths: readonly string[],
  binDirs: readonly string[],
  source: SampleSource,
  { log }: RunContext,
): Promise<FoundSamples> {
  const samples: Sample[] = [];
  const skipped: SkippedSample[] = [];
  const images = new Set<string>();
  const uses = new Map<string, number>();
  for (const path of paths) {
    const found = await samplesIn(path, binDirs, source);
    for (const dir of found.binDirs) images.add(dir);
    for (const { directory, reason } of found.skipped) {
      log.log('warning', `left out: ${reason}`);
      skipped.push({ name: basename(directory), reason });
    }
    for (const sample of found.samples) {
      // Evaluations are named by samples: two of one name would overwrite each other.
      const use = (uses.get(sample.name) ?? 0) + 1;
      uses.set(sample.name, use);
      samples.push(use === 1 ? sample : { ...sample, name: `${sample.name}-${use}` });
    }
  }
  if (samples.length === 0) {
    throw new UserError('no-samples', 'none of the paths holds a sample', {
      category: 'input',
      path: paths[0] ?? '',
    });
  }
  return { samples, skipped, binDirs: [...images] };
}

/** What cannot be read is left out: the other paths are judged. */
async function samplesIn(
  path: string,
  asked: readonly string[],
  source: SampleSource,
): Promise<Pick<FoundSamples, 'samples' | 'binDirs'> & { readonly skipped: readonly Skipped[] }> {
  try {
    const { samples, binDirs } = layoutOf(path, asked);
    const isLog = source.source !== 'trace' && statusOf(samples)?.isFile() === true;
    if (isLog) {
      return { samples: [await readSourceSample(resolve(samples), source)], skipped: [], binDirs };
    }
    return { ...(await sourceSamplesAt(samples, source)), binDirs };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { samples: [], skipped: [{ directory: path, reason: error.message }], binDirs: [] };
  }
}
