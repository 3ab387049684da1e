import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { readJsonFile, writeJsonFile } from '../../base/files/json-file.ts';
import type { Predictions, WindowSet } from '../../sequences/windows.ts';
import { bytesOf } from '../array-file.ts';
import { Calibration, isKnots } from '../calibration.ts';
import type { FirstLayer, RunContext } from '../first-layer.ts';
import { arraysOf, loadNgramTable, saveNgramTable } from './file.ts';
import { NgramPredictor } from './predictor.ts';
import { type NgramOptions, NgramTable } from './table.ts';

const progressEvery = 1 << 16;

/** The n-gram backoff model as a first layer: fits in seconds, and is hard to beat. */
export class Ngram implements FirstLayer {
  readonly name = 'ngram';
  readonly windowLength: number;
  readonly inputClasses: number;
  readonly table: NgramTable;
  readonly calibration: Calibration | undefined;
  #predictor: NgramPredictor | undefined;

  private constructor(
    table: NgramTable,
    windowLength: number,
    inputClasses: number,
    calibration: Calibration | undefined,
  ) {
    this.table = table;
    this.windowLength = windowLength;
    this.inputClasses = inputClasses;
    this.calibration = calibration;
  }

  static fit(
    windows: WindowSet,
    inputClasses: number,
    outputClasses: number,
    options: Partial<NgramOptions> = {},
  ): Ngram {
    const table = NgramTable.fit(windows, outputClasses, options);
    return new Ngram(table, windows.windowLength, inputClasses, undefined);
  }

  /** @returns the same model with other confidences; predictions and probabilities stay */
  calibrated(calibration: Calibration): Ngram {
    return new Ngram(this.table, this.windowLength, this.inputClasses, calibration);
  }

  get outputClasses(): number {
    return this.table.outputClasses;
  }

  get fingerprint(): string {
    const { windowLength, inputClasses, calibration, table } = this;
    const knots = JSON.stringify(calibration?.knots ?? []);
    const hash = createHash('sha256').update(`ngram ${windowLength} ${inputClasses} ${knots}`);
    for (const part of arraysOf(table.parts)) hash.update(bytesOf(part));
    return hash.digest('hex').slice(0, 16);
  }

  async predict(windows: WindowSet, context: RunContext): Promise<Predictions> {
    const { length } = windows;
    this.#predictor ??= new NgramPredictor(
      this.table,
      (confidence) => this.calibration?.apply(confidence) ?? confidence,
    );
    const predictions: Predictions = {
      predicted: new Int32Array(length),
      confidence: new Float32Array(length),
      targetProbability: new Float32Array(length),
      targetRank: new Int32Array(length),
    };
    for (let from = 0; from < length; from += progressEvery) {
      context.signal?.throwIfAborted();
      context.progress({ step: 'predicting', done: from, total: length, unit: 'windows' });
      this.#predictor.predict(windows, from, Math.min(length, from + progressEvery), predictions);
    }
    context.progress({ step: 'predicting', done: length, total: length, unit: 'windows' });
    return predictions;
  }

  async save(directory: string): Promise<void> {
    const { windowLength, inputClasses, outputClasses, fingerprint, calibration, table } = this;
    await saveNgramTable(join(directory, 'ngram.bin'), table);
    const description = {
      schemaVersion: 2,
      model: 'ngram',
      windowLength,
      inputClasses,
      outputClasses,
      smoothing: table.smoothing,
      lengths: [...table.parts.lengths.subarray(1)],
      calibration: calibration?.knots ?? [],
      fingerprint,
    };
    await writeJsonFile(join(directory, 'model.json'), description);
  }

  /** @throws UserError when files are missing or damaged */
  static async load(directory: string): Promise<Ngram> {
    const path = join(directory, 'model.json');
    const damaged = (problem: string, cause?: unknown): UserError =>
      new UserError('model-damaged', problem, { category: 'input', path, cause });
    const d = await readJsonFile(path);
    if (d.model === 'ngram' && d.schemaVersion === 1) {
      throw damaged('is an n-gram model of an earlier version: learn it again');
    }
    const sizes = [d?.windowLength, d?.inputClasses, d?.outputClasses] as number[];
    if (
      d?.schemaVersion !== 2 ||
      d.model !== 'ngram' ||
      !sizes.every((n) => Number.isSafeInteger(n) && n > 0) ||
      !isKnots(d.calibration)
    ) {
      throw damaged('describes no n-gram model of this version');
    }
    const calibration = d.calibration.length === 0 ? undefined : new Calibration(d.calibration);
    const table = await loadNgramTable(join(directory, 'ngram.bin'), sizes[2]);
    const longest = table.parts.lengths.at(-1) ?? 0;
    if (longest > sizes[0]) {
      throw damaged(`has contexts of ${longest} symbols for windows of ${sizes[0]}`);
    }
    const model = new Ngram(table, sizes[0], sizes[1], calibration);
    if (model.fingerprint !== d.fingerprint) {
      throw damaged('the table is not the one that the model was saved with');
    }
    return model;
  }

  async dispose(): Promise<void> {}
}
