import { isAbsent } from '../../../base/errors.ts';
import { readWholeFile } from '../../../base/files/read.ts';
import { NominalRuns } from '../../../likeness/nominal-runs.ts';
import { unpackTrainingRuns } from './training-runs.ts';

/**
 * Reads what training runs did, to compare other runs with.
 *
 * @param path  what `TrainingRunPacker` wrote
 * @returns `undefined` where there is no such file: only models of histories keep their runs
 * @throws UserError `not-readable`, `file-damaged`, `training-runs-damaged`
 */
export async function readNominalRuns(path: string): Promise<NominalRuns | undefined> {
  const bytes = await readWholeFile(path).catch((error: unknown) => {
    if (!isAbsent(error)) throw error;
    return undefined;
  });
  if (bytes === undefined) return undefined;
  const runs = new NominalRuns();
  for (const { sample, blocks, events } of unpackTrainingRuns(bytes, path, 'places')) {
    runs.add({ name: sample.name, blocks, transfers: events });
  }
  return runs;
}
