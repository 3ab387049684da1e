import { UserError } from '../../base/errors.ts';
import type { ImageStore } from '../../image/image-store.ts';
import { readMemoryMaps } from '../../image/maps/memory-map.ts';
import type { RunContext } from '../../model/first-layer.ts';
import type { Sample } from '../../trace/sample.ts';
import { calibrates } from '../../verdict/classify-nominal.ts';
import type { RunFolder } from '../run/folder.ts';
import { writeFunctions } from '../samples/evaluating/earlier-builds.ts';
import { type Trained, windowLengthOf } from '../samples/evaluating/evaluate.ts';
import type { SampleSets } from '../samples/sets/choose.ts';
import { readFeatures } from '../tasks/read-features.ts';
import type { LearnOptions } from '../training/options.ts';
import { identifyImages } from './image-identities.ts';
import { profileOf, writeProfile } from './profile.ts';

/** Maps that are read for the name of the program: one program's runs are all alike. */
const mostMaps = 4;

/**
 * Writes the profile of a run of `learn` whose evaluations are there.
 *
 * @returns its path; `undefined` when no trace calibrates, so that nothing could be judged by it
 * @throws UserError
 */
export async function keepProfile(
  folder: RunFolder,
  evaluation: string,
  { vocabulary, layer }: Trained,
  { train }: SampleSets,
  options: LearnOptions,
  images: ImageStore,
  context: RunContext,
): Promise<string | undefined> {
  if (options.skipEval || options.evaluationFormat !== 'eval') return undefined;
  const calibration = await calibrationIn(folder, evaluation, context);
  if (calibration.length === 0) return undefined;
  if (options.source === 'trace') await writeFunctions(folder.model, vocabulary, images);
  const path = options.profile ?? profileOf(folder);
  await writeProfile(
    path,
    folder,
    {
      programs: await programsOf(train),
      source: options.source,
      windowLength: windowLengthOf(layer),
      trained: train.length,
      images: await identifyImages(vocabulary.modules, images),
    },
    calibration,
  );
  return path;
}

async function calibrationIn(folder: RunFolder, evaluation: string, context: RunContext) {
  try {
    const { traces } = await readFeatures({ run: folder.root, evaluation }, false, context);
    return traces.filter(calibrates);
  } catch (error) {
    if (error instanceof UserError && error.code === 'no-evaluations') return [];
    throw error;
  }
}

async function programsOf(samples: readonly Sample[]): Promise<string[]> {
  const names = new Set<string>();
  for (const { map } of samples.slice(0, mostMaps)) {
    const maps = map === undefined ? [] : await readMemoryMaps(map).catch(() => []);
    for (const { process } of maps) if (process.name !== '') names.add(process.name);
  }
  return [...names];
}
