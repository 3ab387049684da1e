import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { readJsonFile, writeJsonFile } from '../../base/files/json-file.ts';
import { readWholeFile } from '../../base/files/read.ts';
import { writeFileAtomic } from '../../base/files/write.ts';
import { isCount, isRecord } from '../../base/values.ts';
import type { Predictions, WindowSet } from '../../sequences/windows.ts';
import { bytesOf } from '../array-file.ts';
import type { FirstLayer, RunContext } from '../first-layer.ts';
import { arraysOf, loadNgramTable, saveNgramTable } from '../ngram/file.ts';
import { type NgramParts, NgramTable } from '../ngram/table.ts';
import { devicesOfWorkers } from './engine.ts';
import { LstmPool } from './pool.ts';
import { initialize, type LstmShape, parameterLayout } from './shape.ts';

/** Windows in one run of a session. */
const predictBatch = 512;

export interface LstmOptions {
  /** `cpu`, `webgpu`, `cuda:N`, or several with commas between; each takes a share of every batch. */
  readonly device: string;
  /** Threads of the processor. */
  readonly workers: number;
  readonly dropout: number;
  readonly seed: number;
}

/** The network of the ancestor, `Embedding - LSTM x 3 - Dense - Dropout - Dense`, as a first layer. */
export class Lstm implements FirstLayer {
  readonly name = 'lstm';
  readonly shape: LstmShape;
  readonly options: LstmOptions;
  /** All parameters in one vector, shared with the workers; see `parameterLayout`. */
  readonly parameters: Float32Array<SharedArrayBuffer>;
  /** In shared memory, too. */
  readonly prior: NgramTable | undefined;
  #pool: LstmPool | undefined;
  /** Hash of the parameters that the workers' sessions for predictions hold. */
  #predicting = '';

  private constructor(shape: LstmShape, prior: NgramTable | undefined, options: LstmOptions) {
    this.shape = shape;
    this.prior = prior === undefined ? undefined : new NgramTable(shared(prior.parts));
    this.options = options;
    const { length } = parameterLayout(shape);
    this.parameters = new Float32Array(new SharedArrayBuffer(length * 4));
  }

  /** Makes an untrained network. With a prior its first predictions are the prior's. */
  static create(shape: LstmShape, prior: NgramTable | undefined, options: LstmOptions): Lstm {
    const lstm = new Lstm(shape, prior, options);
    initialize(shape, lstm.parameters, options.seed);
    if (prior !== undefined) {
      const { offset, length } = parameterLayout(shape).find('output.kernel');
      lstm.parameters.fill(0, offset, offset + length);
    }
    return lstm;
  }

  get windowLength(): number {
    return this.shape.windowLength;
  }

  get inputClasses(): number {
    return this.shape.inputClasses;
  }

  get outputClasses(): number {
    return this.shape.outputClasses;
  }

  get fingerprint(): string {
    const hash = createHash('sha256').update(JSON.stringify(this.shape));
    hash.update(bytesOf(this.parameters));
    if (this.prior !== undefined)
      for (const part of arraysOf(this.prior.parts)) hash.update(bytesOf(part));
    return hash.digest('hex').slice(0, 16);
  }

  /** The workers, started on first use. */
  get pool(): LstmPool {
    const { device, workers } = this.options;
    this.#pool ??= new LstmPool(devicesOfWorkers(device, workers), {
      shape: this.shape,
      parameters: this.parameters,
      prior: this.prior?.parts,
      dropout: this.options.dropout,
      seed: this.options.seed,
    });
    return this.#pool;
  }

  async predict(windows: WindowSet, context: RunContext): Promise<Predictions> {
    const { length, windowLength } = windows;
    const predicted = new Int32Array(length);
    const confidence = new Float32Array(length);
    const targetProbability = new Float32Array(length);
    const targetRank = new Int32Array(length);
    // Workers for new parameters are new threads: ending the old ones gives back the hundreds of
    // megabytes that training took. Starting them takes half a second, looking for changes far less.
    const digest = createHash('sha256').update(bytesOf(this.parameters)).digest('hex');
    if (digest !== this.#predicting) await this.dispose();
    this.#predicting = digest;
    let next = 0;
    let done = 0;
    const started = performance.now();
    const work = async (worker: number): Promise<void> => {
      while (next < length) {
        context.signal?.throwIfAborted();
        const from = next;
        const to = Math.min(length, from + predictBatch);
        next = to;
        const result = await this.pool.predict(worker, {
          symbols: windows.symbols.slice(from * windowLength, to * windowLength),
          targets: windows.targets.slice(from, to),
        });
        predicted.set(result.predicted, from);
        confidence.set(result.confidence, from);
        targetProbability.set(result.targetProbability, from);
        targetRank.set(result.targetRank, from);
        done += to - from;
        const seconds = (performance.now() - started) / 1000;
        context.progress({
          step: 'predicting',
          done,
          total: length,
          unit: 'windows',
          facts: { 'windows/s': done / seconds },
        });
      }
    };
    await Promise.all(Array.from({ length: this.pool.size }, (_, worker) => work(worker)));
    return { predicted, confidence, targetProbability, targetRank };
  }

  async save(directory: string): Promise<void> {
    const description = {
      schemaVersion: 1,
      model: 'lstm',
      shape: this.shape,
      dropout: this.options.dropout,
      hasPrior: this.prior !== undefined,
      fingerprint: this.fingerprint,
    };
    await writeFileAtomic(join(directory, 'weights.bin'), bytesOf(this.parameters));
    if (this.prior !== undefined) {
      await saveNgramTable(join(directory, 'prior.bin'), this.prior);
    }
    // Last, because it says that the others are whole.
    await writeJsonFile(join(directory, 'model.json'), description);
  }

  /** @throws UserError when files are missing, damaged or do not fit together */
  static async load(directory: string, options: Omit<LstmOptions, 'dropout'>): Promise<Lstm> {
    const path = join(directory, 'model.json');
    const description = parseDescription(await readJsonFile(path), path);
    const weights = await readWholeFile(join(directory, 'weights.bin'));
    const expected = parameterLayout(description.shape).length * 4;
    if (weights.length !== expected) {
      throw damaged(
        join(directory, 'weights.bin'),
        `has ${weights.length} bytes where the network takes ${expected}`,
      );
    }
    const prior = description.hasPrior
      ? await loadNgramTable(join(directory, 'prior.bin'), description.shape.outputClasses)
      : undefined;
    const lstm = new Lstm(description.shape, prior, { ...options, dropout: description.dropout });
    bytesOf(lstm.parameters).set(weights);
    if (lstm.fingerprint !== description.fingerprint) {
      throw damaged(directory, 'the weights are not those that the model was saved with');
    }
    return lstm;
  }

  async dispose(): Promise<void> {
    await this.#pool?.dispose();
    this.#pool = undefined;
    this.#predicting = '';
  }
}

interface Description {
  readonly shape: LstmShape;
  readonly dropout: number;
  readonly hasPrior: boolean;
  readonly fingerprint: string;
}

function parseDescription(value: Record<string, unknown>, path: string): Description {
  const d = value as Partial<Description> & { schemaVersion?: number; model?: string };
  if (d?.schemaVersion !== 1 || d.model !== 'lstm')
    throw damaged(path, 'describes no LSTM of this version');
  const shape: Record<string, unknown> | undefined = isRecord(d.shape) ? d.shape : undefined;
  const sizes = [
    'windowLength',
    'inputClasses',
    'outputClasses',
    'embedding',
    'units',
    'layers',
    'dense',
  ] as const;
  const isSize = (n: unknown): boolean => isCount(n, 2 ** 24) && n >= 1;
  const isWhole =
    shape !== undefined &&
    sizes.every((key) => isSize(shape[key])) &&
    typeof shape.bidirectional === 'boolean' &&
    (shape.gate === 'sigmoid' || shape.gate === 'hardSigmoid') &&
    typeof d.dropout === 'number' &&
    typeof d.hasPrior === 'boolean' &&
    typeof d.fingerprint === 'string';
  if (!isWhole) throw damaged(path, 'lacks a size of the network or has a bad one');
  return d as Description;
}

/** Copies into shared memory, so that each worker does not get its own. */
function shared(parts: NgramParts): NgramParts {
  const share = <T extends Float32Array | Int32Array>(part: T): T => {
    const buffer = new SharedArrayBuffer(part.byteLength);
    const copy = new (part.constructor as new (b: SharedArrayBuffer) => T)(buffer);
    copy.set(part);
    return copy;
  };
  return {
    settings: share(parts.settings),
    lengths: share(parts.lengths),
    levels: share(parts.levels),
    parents: share(parts.parents),
    keys: share(parts.keys),
    starts: share(parts.starts),
    targets: share(parts.targets),
    counts: share(parts.counts),
  };
}

function damaged(path: string, problem: string, cause?: unknown): UserError {
  return new UserError('model-damaged', problem, { category: 'input', path, cause });
}
