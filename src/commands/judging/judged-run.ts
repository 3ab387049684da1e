import { cp } from 'node:fs/promises';
import { makeFolder, removeQuietly } from '../../base/files/folder.ts';
import { copyWholeFile } from '../../base/files/write.ts';
import { version } from '../../base/version.ts';
import { writeCalibration } from '../../verdict/left-out.ts';
import type { Profile } from '../profile/profile.ts';
import { makeRunFolder, type RunFolder, writeRunRecord } from '../run/folder.ts';
import type { SkippedSample } from '../samples/skipped.ts';
import type { JudgedSample, JudgingOptions } from './judging.ts';

/** The folder of a run of `judge`, which `report` and `classify` can read by itself. */
export class JudgedRun {
  readonly folder: RunFolder;
  readonly judged: JudgedSample[] = [];
  readonly #profile: Profile;
  readonly #options: Omit<JudgingOptions, 'out' | 'model'>;
  readonly #started = new Date().toISOString();

  private constructor(
    folder: RunFolder,
    profile: Profile,
    options: Omit<JudgingOptions, 'out' | 'model'>,
  ) {
    this.folder = folder;
    this.#profile = profile;
    this.#options = options;
  }

  /** @param parent  the run's folder is made in `runs` below it */
  static async make(
    parent: string,
    profile: Profile,
    options: Omit<JudgingOptions, 'out' | 'model'>,
  ): Promise<JudgedRun> {
    const folder = await makeRunFolder(parent);
    try {
      return await JudgedRun.at(folder, profile, options);
    } catch (error) {
      await removeQuietly(folder.root);
      throw error;
    }
  }

  /** Writes into a folder what judging by the profile takes and leaves. */
  static async at(
    folder: RunFolder,
    profile: Profile,
    options: Omit<JudgingOptions, 'out' | 'model'>,
  ): Promise<JudgedRun> {
    await makeFolder(folder.evaluation);
    await writeCalibration(folder.evaluation, profile.calibration);
    const vocabulary = `${profile.folder.vocabulary}.json.gz`;
    await copyWholeFile(vocabulary, `${folder.vocabulary}.json.gz`);
    const run = new JudgedRun(folder, profile, options);
    await run.record(undefined);
    return run;
  }

  /** Puts the model there, too, for those who evaluate and do not see the profile. */
  async shareModel(): Promise<string> {
    await cp(this.#profile.folder.model, this.folder.model, { recursive: true });
    return this.folder.root;
  }

  /** @param skipped  `undefined` while samples are judged */
  async record(skipped: readonly SkippedSample[] | undefined): Promise<void> {
    const { source, binDirs, rawImages, fpr } = this.#options;
    await writeRunRecord(this.folder, {
      schemaVersion: 1,
      wayward: version,
      node: process.version,
      started: this.#started,
      finished: skipped === undefined ? undefined : new Date().toISOString(),
      options: {
        ...{ ...source, binDirs, rawImages, fpr },
        ...{ command: 'judge', profile: this.#profile.path, evaluationDir: undefined },
        model: this.#profile.calibration[0]?.model,
      },
      sets: { testNominal: skipped === undefined ? [] : this.judged.map(({ name }) => name) },
      // Places are found again from the evaluations.
      result: skipped === undefined ? {} : { judged: this.judged.map(withoutDetail), skipped },
    });
  }
}

function withoutDetail({ detail: _, ...rest }: JudgedSample): Omit<JudgedSample, 'detail'> {
  return rest;
}
