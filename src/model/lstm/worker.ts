import { parentPort, workerData } from 'node:worker_threads';
import { assert, messageOf, UserError } from '../../base/errors.ts';
import { Random } from '../../base/random.ts';
import { type NgramParts, NgramReader, NgramTable } from '../ngram/table.ts';
import { type BusyThreads, whileBusy } from './busy-threads.ts';
import { type InferenceSession, loadRuntime, openSession, type Tensor } from './engine.ts';
import { feeds, inferenceGraph, results, trainingGraph, trainingParameters } from './graph.ts';
import { type LstmShape, parameterLayout } from './shape.ts';

/** What every worker of a pool gets when it starts. Arrays are shared, not copied. */
export interface WorkerSetup {
  readonly shape: LstmShape;
  readonly device: string;
  readonly parameters: Float32Array;
  /** What the network's logits are added to. */
  readonly prior: NgramParts | undefined;
  readonly dropout: number;
  readonly seed: number;
  readonly busy: BusyThreads;
}

/** Windows as classes: `symbols` is `[length, windowLength]`. */
export interface WindowBatch {
  readonly symbols: Int32Array;
  readonly targets: Int32Array;
}

export interface GradientJob extends WindowBatch {
  readonly kind: 'gradient';
  readonly id: number;
  /** Loss weight of each window. */
  readonly weights: Float32Array;
  /** Weight of each window in the prior; see `NgramTable.weightOf`. */
  readonly ownWeights: Float32Array;
  /** Number of the micro-batch in the run: seeds its dropout. */
  readonly serial: number;
  /** Shared; where the dense gradient goes, in the layout of the parameters after `denseOffset`. */
  readonly gradient: Float32Array;
}

export interface GradientResult {
  readonly id: number;
  readonly loss: number;
  readonly correct: number;
  /** Classes of the batch's distinct blocks, and their gradients `[tokens, embedding]`. */
  readonly tokens: Int32Array;
  readonly tokenGradient: Float32Array;
}

export interface PredictJob extends WindowBatch {
  readonly kind: 'predict';
  readonly id: number;
}

export interface PredictResult {
  readonly id: number;
  readonly predicted: Int32Array;
  readonly confidence: Float32Array;
  readonly targetProbability: Float32Array;
  readonly targetRank: Int32Array;
}

export type Job = GradientJob | PredictJob;

const { Tensor: RuntimeTensor } = await loadRuntime();

class LstmWorker {
  readonly #setup: WorkerSetup;
  readonly #shape: LstmShape;
  readonly #prior: NgramReader | undefined;
  readonly #denseOffset: number;
  /** Token of an input class in the current batch, valid where its stamp is current. */
  readonly #tokenOf: Int32Array;
  readonly #stamp: Int32Array;
  #stampNow = 0;
  #training: InferenceSession | undefined;
  #inference: InferenceSession | undefined;

  constructor(setup: WorkerSetup) {
    this.#setup = setup;
    this.#shape = setup.shape;
    this.#prior =
      setup.prior === undefined ? undefined : new NgramReader(new NgramTable(setup.prior));
    this.#denseOffset = parameterLayout(setup.shape).denseOffset;
    this.#tokenOf = new Int32Array(setup.shape.inputClasses);
    this.#stamp = new Int32Array(setup.shape.inputClasses);
  }

  handle(job: Job): Promise<GradientResult | PredictResult> {
    return job.kind === 'gradient' ? this.#gradient(job) : this.#predict(job);
  }

  async #gradient(job: GradientJob): Promise<GradientResult> {
    const { windowLength, embedding, units, dense, outputClasses } = this.#shape;
    const { symbols, targets } = job;
    const batch = targets.length;
    this.#training ??= await openSession(
      trainingGraph(this.#shape, this.#prior !== undefined),
      this.#setup.device,
    );
    const tokens: number[] = [];
    const scatter = new BigInt64Array(windowLength * batch);
    const inputs: Record<string, Tensor> = {};
    const stamp = ++this.#stampNow;
    for (let step = 0; step < windowLength; step++) {
      const column = new Int32Array(batch);
      for (let row = 0; row < batch; row++) {
        const symbol = symbols[row * windowLength + step];
        if (this.#stamp[symbol] !== stamp) {
          this.#stamp[symbol] = stamp;
          this.#tokenOf[symbol] = tokens.push(symbol) - 1;
        }
        const token = this.#tokenOf[symbol];
        column[row] = token;
        scatter[step * batch + row] = BigInt(token);
      }
      inputs[feeds.step(step)] = new RuntimeTensor('int32', column, [batch]);
    }
    const rows = new Float32Array(tokens.length * embedding);
    tokens.forEach((symbol, token) => {
      const from = symbol * embedding;
      rows.set(this.#setup.parameters.subarray(from, from + embedding), token * embedding);
    });
    const target = new BigInt64Array(batch * 2);
    for (let row = 0; row < batch; row++) {
      target[row * 2] = BigInt(row);
      target[row * 2 + 1] = BigInt(targets[row]);
    }
    inputs[feeds.zeros] = new RuntimeTensor('float32', new Float32Array(batch * units), [
      batch,
      units,
    ]);
    inputs[feeds.tokens] = new RuntimeTensor('float32', rows, [tokens.length, embedding]);
    inputs[feeds.scatter] = new RuntimeTensor('int64', scatter, [windowLength * batch, 1]);
    inputs[feeds.dropout] = new RuntimeTensor('float32', this.#dropoutMask(batch, job.serial), [
      batch,
      dense,
    ]);
    inputs[feeds.target] = new RuntimeTensor('int64', target, [batch, 2]);
    inputs[feeds.weight] = new RuntimeTensor('float32', job.weights, [batch, 1]);
    inputs[feeds.ones] = new RuntimeTensor('float32', new Float32Array(batch).fill(1), [1, batch]);
    if (this.#prior !== undefined) {
      inputs[feeds.prior] = new RuntimeTensor('float32', this.#priorRows(job, job.ownWeights), [
        batch,
        outputClasses,
      ]);
    }
    for (const { name, offset, length, dimensions } of trainingParameters(this.#shape)) {
      // The runtime does not take shared memory.
      const values = this.#setup.parameters.slice(offset, offset + length);
      inputs[name] = new RuntimeTensor('float32', values, dimensions);
    }
    const outputs = await this.#training.run(inputs);
    const data = (name: string): Float32Array => outputs[name].data as Float32Array;
    for (const { name, offset } of trainingParameters(this.#shape)) {
      job.gradient.set(data(results.gradient(name)), offset - this.#denseOffset);
    }
    const probability = data(results.targetProbability);
    const highest = data(results.maxProbability);
    let loss = 0;
    let correct = 0;
    for (let row = 0; row < batch; row++) {
      loss -= job.weights[row] * Math.log(Math.max(probability[row], 1e-30));
      if (probability[row] >= highest[row]) correct += job.weights[row];
    }
    return {
      id: job.id,
      loss,
      correct,
      tokens: Int32Array.from(tokens),
      tokenGradient: data(results.tokensGradient),
    };
  }

  async #predict(job: PredictJob): Promise<PredictResult> {
    const { windowLength, units, outputClasses } = this.#shape;
    const batch = job.targets.length;
    this.#inference ??= await openSession(
      inferenceGraph(
        this.#shape,
        Float32Array.from(this.#setup.parameters),
        this.#prior !== undefined,
      ),
      this.#setup.device,
    );
    const inputs: Record<string, Tensor> = {};
    for (let step = 0; step < windowLength; step++) {
      const column = new Int32Array(batch);
      for (let row = 0; row < batch; row++) column[row] = job.symbols[row * windowLength + step];
      inputs[feeds.step(step)] = new RuntimeTensor('int32', column, [batch]);
    }
    inputs[feeds.zeros] = new RuntimeTensor('float32', new Float32Array(batch * units), [
      batch,
      units,
    ]);
    if (this.#prior !== undefined) {
      inputs[feeds.prior] = new RuntimeTensor('float32', this.#priorRows(job), [
        batch,
        outputClasses,
      ]);
    }
    const outputs = await this.#inference.run(inputs);
    const probabilities = outputs[results.probabilities].data as Float32Array;
    const predicted = new Int32Array(batch);
    const confidence = new Float32Array(batch);
    const targetProbability = new Float32Array(batch);
    const targetRank = new Int32Array(batch);
    for (let row = 0; row < batch; row++) {
      const from = row * outputClasses;
      const target = job.targets[row];
      const own = probabilities[from + target];
      let best = 0;
      let bestProbability = -1;
      let rank = 0;
      for (let c = 0; c < outputClasses; c++) {
        const p = probabilities[from + c];
        if (p > bestProbability) {
          bestProbability = p;
          best = c;
        }
        // Of classes that are equally probable, the first one counts as the prediction.
        if (p > own || (p === own && c < target)) rank++;
      }
      if (!(bestProbability >= 0 && own >= 0)) {
        throw new UserError(
          'outputs-no-numbers',
          'the network predicts values that are no numbers: its weights are of no use',
          { category: 'runtime' },
        );
      }
      predicted[row] = best;
      confidence[row] = bestProbability;
      targetProbability[row] = own;
      targetRank[row] = rank;
    }
    return { id: job.id, predicted, confidence, targetProbability, targetRank };
  }

  /**
   * @param ownWeights  weight of each window in the prior, to be left out: in training the prior has
   *   seen every window, and the network would have nothing to learn
   */
  #priorRows({ symbols, targets }: WindowBatch, ownWeights?: Float32Array): Float32Array {
    const prior = this.#prior;
    assert(prior !== undefined, 'no prior');
    const { windowLength, outputClasses } = this.#shape;
    const rows = new Float32Array(targets.length * outputClasses);
    for (let row = 0; row < targets.length; row++) {
      prior.read(
        symbols,
        (row + 1) * windowLength,
        ownWeights === undefined ? -1 : targets[row],
        ownWeights?.[row],
      );
      prior.writeLogits(rows, row * outputClasses);
    }
    return rows;
  }

  /** Inverted dropout. The mask depends on the seed and the micro-batch only, not on who computes it. */
  #dropoutMask(batch: number, serial: number): Float32Array {
    const { dropout, seed } = this.#setup;
    const mask = new Float32Array(batch * this.#shape.dense).fill(1);
    if (dropout === 0) return mask;
    const random = new Random(Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(serial + 1, 0x85ebca6b));
    const kept = 1 / (1 - dropout);
    const limit = dropout * 4294967296;
    for (let i = 0; i < mask.length; i++) mask[i] = random.uint32() < limit ? 0 : kept;
    return mask;
  }
}

if (parentPort !== null) {
  const port = parentPort;
  const setup = workerData as WorkerSetup;
  const worker = new LstmWorker(setup);
  port.on('message', (job: Job) => {
    whileBusy(setup.busy, () => worker.handle(job)).then(
      (result) => port.postMessage({ result }),
      (error: unknown) =>
        port.postMessage({ id: job.id, error: portable(error), message: messageOf(error) }),
    );
  });
}

/** Errors lose their class and fields on the way between threads, plain objects keep theirs. */
function portable(error: unknown): unknown {
  if (!(error instanceof UserError)) return error;
  const { name, code, category } = error;
  return { name, code, category };
}
