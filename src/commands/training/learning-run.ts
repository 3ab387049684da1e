import { resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { removeQuietly } from '../../base/files/folder.ts';
import { withoutSecrets } from '../../base/options/option-table.ts';
import { version } from '../../base/version.ts';
import type { FitScore } from '../../model/first-layer.ts';
import { writeSets } from '../../trace/sets-file.ts';
import {
  makeRunFolder,
  type RunFolder,
  type RunRecord,
  readRunRecord,
  runFolder,
  writeRunRecord,
} from '../run/folder.ts';
import type { SampleSets } from '../samples/sets/choose.ts';
import { mapSets } from '../samples/sets/choose-sets.ts';
import type { SkippedSample } from '../samples/skipped.ts';
import { type LearnOptions, learnTable } from './options.ts';
import type { TrainingSummary } from './train.ts';

/** What is known of a run once its model is there. */
export interface Findings {
  readonly training: TrainingSummary | undefined;
  readonly test: FitScore | undefined;
  /** Samples that training left out. */
  readonly skipped: readonly SkippedSample[];
}

/**
 * @returns what a run that is resumed has found out before it was stopped in its evaluation;
 *   `undefined` when it has not trained and tested yet
 */
export async function findingsBefore({ resume }: LearnOptions): Promise<Findings | undefined> {
  if (resume === undefined) return undefined;
  const record = await readRunRecord(runFolder(resolve(resume)));
  const result = record?.result as Partial<Findings> | undefined;
  if (result?.skipped === undefined) return undefined;
  return { training: result.training, test: result.test, skipped: result.skipped };
}

/** A run of `learn`, from its folder to its record. */
export class LearningRun {
  readonly folder: RunFolder;
  readonly #record: RunRecord;
  readonly #sizes: Readonly<Record<keyof SampleSets, number>>;

  private constructor(
    folder: RunFolder,
    record: RunRecord,
    sizes: Readonly<Record<keyof SampleSets, number>>,
  ) {
    this.folder = folder;
    this.#record = record;
    this.#sizes = sizes;
  }

  /**
   * Makes the folder, or goes back to that of the run that is resumed, and writes sets and record, so
   * that an interrupted run can be resumed from its folder alone.
   */
  static async open(
    options: LearnOptions,
    sets: SampleSets,
    before: Findings | undefined,
  ): Promise<LearningRun> {
    const { resume, outputSets, out } = options;
    const now = new Date();
    const folder =
      resume === undefined ? await makeRunFolder(resolve(out), now) : runFolder(resolve(resume));
    const resumed = resume === undefined ? undefined : await readRunRecord(folder);
    const directories = mapSets(sets, (list) => list.map(({ directory }) => directory));
    await writeSets(folder.sets, directories);
    if (outputSets !== undefined) await writeSets(outputSets, directories);
    const record: RunRecord = {
      schemaVersion: 1,
      wayward: version,
      node: process.version,
      started: resume === undefined ? now.toISOString() : (resumed?.started ?? ''),
      finished: undefined,
      options: withoutSecrets(learnTable, options),
      sets: mapSets(sets, (list) => list.map(({ name }) => name)),
      result: {},
    };
    const sizes = mapSets(sets, (list) => list.length);
    await writeRunRecord(folder, { ...record, result: { ...before } });
    return new LearningRun(folder, record, sizes);
  }

  /** Writes down what is known once the model is there; what was counted for it goes. */
  async note(findings: Findings): Promise<void> {
    await writeRunRecord(this.folder, { ...this.#record, result: { ...findings } });
    await removeQuietly(this.folder.counts);
  }

  /** @returns the result as it is recorded */
  async finish<Result extends object>(
    result: Result,
  ): Promise<Result & { readonly sets: Readonly<Record<keyof SampleSets, number>> }> {
    const whole = { ...result, sets: this.#sizes };
    await writeRunRecord(this.folder, {
      ...this.#record,
      finished: new Date().toISOString(),
      result: { ...whole, folder: this.folder.root },
    });
    return whole;
  }

  /** @returns the error to be thrown for what ended the run: a user's stop says how to go on */
  whyStopped(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted !== true || error instanceof UserError) return error;
    return new UserError(
      'interrupted',
      'the run was stopped; --resume with its folder goes on with it',
      { category: 'interrupted', path: this.folder.root, cause: error },
    );
  }
}
