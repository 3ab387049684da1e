import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { NominalRuns } from '../../likeness/nominal-runs.ts';
import { unpackTrainingRuns } from './training-runs.ts';

/**
 * Reads what training runs did, to compare other runs with.
 *
 * @param path  what `TrainingRunPacker` wrote
 * @returns `undefined` where there is no such file: only models of histories keep their runs
 * @throws UserError `file-damaged`, `training-runs-damaged`
 */
export async function readNominalRuns(path: string): Promise<NominalRuns | undefined> {
  if (!existsSync(path)) return undefined;
  const runs = new NominalRuns();
  for (const { sample, blocks, events } of unpackTrainingRuns(await readFile(path), path)) {
    runs.add({ name: sample.name, blocks, transfers: events });
  }
  return runs;
}
