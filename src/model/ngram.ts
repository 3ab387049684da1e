import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { UserError } from '../base/errors.ts';
import { readWholeFile, writeFileAtomic } from '../base/files.ts';
import type { Predictions, WindowSet } from '../sequences/windows.ts';
import { bytesOf } from './array-file.ts';
import type { FirstLayer, RunContext } from './first-layer.ts';
import { arraysOf, loadNgramTable, saveNgramTable } from './ngram-file.ts';
import { NgramReader, NgramTable } from './ngram-table.ts';

const progressEvery = 1 << 16;

/** The n-gram backoff model as a first layer: fits in seconds, and is hard to beat. */
export class Ngram implements FirstLayer {
  readonly name = 'ngram';
  readonly windowLength: number;
  readonly inputClasses: number;
  readonly outputClasses: number;
  readonly #table: NgramTable;

  private constructor(table: NgramTable, windowLength: number, inputClasses: number) {
    this.#table = table;
    this.windowLength = windowLength;
    this.inputClasses = inputClasses;
    this.outputClasses = table.outputClasses;
  }

  static fit(windows: WindowSet, inputClasses: number, outputClasses: number): Ngram {
    const table = NgramTable.fit(windows, outputClasses);
    return new Ngram(table, windows.windowLength, inputClasses);
  }

  get fingerprint(): string {
    const hash = createHash('sha256').update(`ngram ${this.windowLength} ${this.inputClasses}`);
    for (const part of arraysOf(this.#table.parts)) hash.update(bytesOf(part));
    return hash.digest('hex').slice(0, 16);
  }

  async predict(windows: WindowSet, context: RunContext): Promise<Predictions> {
    const { length, windowLength: n } = windows;
    const reader = new NgramReader(this.#table);
    const general = this.#table.parts.general;
    const mostGeneral = general.indexOf(Math.max(...general));
    const predicted = new Int32Array(length);
    const confidence = new Float32Array(length);
    const targetProbability = new Float32Array(length);
    const targetRank = new Int32Array(length);
    for (let i = 0; i < length; i++) {
      if (i % progressEvery === 0) {
        context.signal?.throwIfAborted();
        context.progress({ step: 'predicting', done: i, total: length, unit: 'windows' });
      }
      reader.read(windows.symbols, (i + 1) * n);
      const own = reader.probability(windows.targets[i]);
      let best = mostGeneral;
      let bestProbability = reader.probability(mostGeneral);
      let rank = bestProbability > own ? 1 : 0;
      for (const candidate of reader.candidates) {
        const p = reader.probability(candidate);
        if (p > bestProbability || (p === bestProbability && candidate < best)) {
          bestProbability = p;
          best = candidate;
        }
        if (p > own && candidate !== mostGeneral) rank++;
      }
      predicted[i] = best;
      confidence[i] = bestProbability;
      targetProbability[i] = own;
      targetRank[i] = rank;
    }
    context.progress({ step: 'predicting', done: length, total: length, unit: 'windows' });
    return { predicted, confidence, targetProbability, targetRank };
  }

  async save(directory: string): Promise<void> {
    const { windowLength, inputClasses, outputClasses, fingerprint } = this;
    await saveNgramTable(join(directory, 'ngram.bin'), this.#table);
    const description = {
      schemaVersion: 1,
      model: 'ngram',
      windowLength,
      inputClasses,
      outputClasses,
      fingerprint,
    };
    await writeFileAtomic(
      join(directory, 'model.json'),
      `${JSON.stringify(description, undefined, 2)}\n`,
    );
  }

  /** @throws UserError when files are missing or damaged */
  static async load(directory: string): Promise<Ngram> {
    const path = join(directory, 'model.json');
    let d: Record<string, unknown>;
    try {
      d = JSON.parse((await readWholeFile(path)).toString('utf8')) as Record<string, unknown>;
    } catch (cause) {
      if (cause instanceof UserError) throw cause;
      throw new UserError('model-damaged', 'is no JSON', { category: 'input', path, cause });
    }
    const sizes = [d.windowLength, d.inputClasses, d.outputClasses] as number[];
    if (
      d.schemaVersion !== 1 ||
      d.model !== 'ngram' ||
      !sizes.every((n) => Number.isSafeInteger(n) && n > 0)
    ) {
      throw new UserError('model-damaged', 'describes no n-gram model of this version', {
        category: 'input',
        path,
      });
    }
    const table = await loadNgramTable(join(directory, 'ngram.bin'), sizes[2]);
    return new Ngram(table, sizes[0], sizes[1]);
  }

  async dispose(): Promise<void> {}
}
