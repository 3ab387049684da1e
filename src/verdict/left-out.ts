import { join } from 'node:path';
import { isAbsent, UserError } from '../base/errors.ts';
import { readJsonFile, writeJsonFile } from '../base/files/json-file.ts';
import type { Evaluation, SampleIdentity } from '../evaluation/evaluation.ts';
import { featureNames, featureVersion } from './features/feature-table.ts';
import { computeFeatures, type TraceFeatures } from './features/features.ts';

/**
 * What verdicts are made from, of training runs that were judged without their own counts: they calibrate
 * as runs do that trained nothing.
 */
export interface LeftOut {
  readonly schemaVersion: 1;
  /** Identity of the model that judged. */
  readonly model: string;
  readonly featureVersion: number;
  readonly names: readonly string[];
  readonly runs: readonly LeftOutRun[];
}

interface LeftOutRun {
  readonly sample: SampleIdentity;
  /** In the order of `names`; `null` = not known. */
  readonly values: readonly (number | null)[];
}

const fileName = 'left-out.json';

/** @param evaluations  of one model */
export function leftOutOf(model: string, evaluations: Iterable<Evaluation>): LeftOut {
  const runs: LeftOutRun[] = [];
  for (const evaluation of evaluations) {
    const { sample, values } = computeFeatures(evaluation);
    runs.push({
      sample,
      values: Array.from(values, (value) => (Number.isFinite(value) ? value : null)),
    });
  }
  return { schemaVersion: 1, model, featureVersion, names: featureNames, runs };
}

/** Writes traces that set thresholds, whether they trained or not, for judging others by them. */
export async function writeCalibration(
  directory: string,
  traces: readonly TraceFeatures[],
): Promise<void> {
  const [first] = traces;
  if (first === undefined) return;
  const runs = traces.map(
    ({ sample, values }): LeftOutRun => ({
      sample,
      values: Array.from(values, (value) => (Number.isFinite(value) ? value : null)),
    }),
  );
  const { model } = first;
  await writeLeftOut(directory, {
    schemaVersion: 1,
    model,
    featureVersion,
    names: featureNames,
    runs,
  });
}

/** Writes it beside a model, or beside evaluations. */
export async function writeLeftOut(directory: string, leftOut: LeftOut): Promise<void> {
  await writeJsonFile(join(directory, fileName), leftOut);
}

/**
 * @returns `undefined` where there is none
 * @throws UserError when it is damaged, or of features that this release computes in another way
 */
export async function readLeftOut(directory: string): Promise<LeftOut | undefined> {
  const path = join(directory, fileName);
  let found: Partial<LeftOut>;
  try {
    found = await readJsonFile(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
  const isOurs =
    found.schemaVersion === 1 &&
    typeof found.model === 'string' &&
    found.featureVersion === featureVersion &&
    Array.isArray(found.names) &&
    found.names.length === featureNames.length &&
    featureNames.every((name, i) => name === found.names?.[i]) &&
    Array.isArray(found.runs) &&
    found.runs.every(isRun);
  if (!isOurs) {
    const problem = 'holds other features than this release computes: learn again';
    throw new UserError('left-out-other', problem, { category: 'input', path });
  }
  return found as LeftOut;
}

function isRun(run: Partial<LeftOutRun> | null): boolean {
  const { sample, values } = run ?? {};
  return (
    Array.isArray(values) &&
    values.length === featureNames.length &&
    values.every((value) => value === null || typeof value === 'number') &&
    isIdentity(sample)
  );
}

function isIdentity(sample: Partial<SampleIdentity> | null | undefined): boolean {
  const { name, directory, file, label, role, family } = sample ?? {};
  return (
    [name, directory, file, label, role].every((text) => typeof text === 'string') &&
    (family === undefined || typeof family === 'string')
  );
}

/** How much of what a new nominal run does is likely to be new. */
export interface Novelty {
  readonly runs: number;
  /** Runs that hold a transfer which no other run shows. */
  readonly withNews: number;
}

/**
 * Of each run, judged without its own counts, whether it holds what no other one shows. The share is an
 * estimate of how likely the next run will (Good and Turing's, with a run as the unit).
 *
 * @see Good, "The population frequencies of species and the estimation of population parameters",
 *   Biometrika 40 (1953)
 */
export function noveltyOf({ names, runs }: LeftOut): Novelty {
  const column = names.indexOf('unseenTransferRate');
  return {
    runs: runs.length,
    withNews: runs.filter(({ values }) => (values[column] ?? 0) > 0).length,
  };
}

export function featuresOfLeftOut({ model, runs }: LeftOut): TraceFeatures[] {
  return runs.map(({ sample, values }) => ({
    sample,
    model,
    values: Float64Array.from(values, (value) => value ?? Number.NaN),
    isLeftOut: true,
  }));
}
