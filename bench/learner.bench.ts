/**
 * How fast the default network learns and predicts, and what share of the machine that is.
 *
 *     node bench/learner.bench.ts [WORKERS, default: all cores] [INPUT CLASSES] [OUTPUT CLASSES]
 *
 * Windows are random walks, so the figures are for distinct windows, which is what a learner here
 * computes. The peak is a large matrix product in ONNX Runtime with as many threads, measured beside
 * each figure. All figures are the fastest of several: other work on a machine only slows. Operations are counted as the textbook does, three times the forward
 * pass for a training step, although the first layer's input product is looked up: a share can be a
 * little flattering.
 */
import { availableParallelism, cpus } from 'node:os';
import { silentLogger } from '../src/base/log.ts';
import { Random } from '../src/base/random.ts';
import { loadRuntime } from '../src/model/lstm/engine.ts';
import { Lstm } from '../src/model/lstm/lstm.ts';
import { defaultShape, directions, inputsOf, type LstmShape } from '../src/model/lstm/shape.ts';
import { type EpochReport, trainLstm } from '../src/model/lstm/train.ts';
import { NgramTable } from '../src/model/ngram/table.ts';
import { OnnxGraph } from '../src/model/onnx/onnx.ts';
import type { WindowSet } from '../src/sequences/windows.ts';
import { tell, watchMachine } from './figures.ts';

watchMachine();
const { InferenceSession, Tensor } = await loadRuntime();
const workers = Number(process.argv[2] ?? availableParallelism());
const shape: LstmShape = {
  ...defaultShape,
  inputClasses: Number(process.argv[3] ?? 1024),
  outputClasses: Number(process.argv[4] ?? 1024),
};
const context = { log: silentLogger, progress: () => {} };

/** Operations of the forward pass for one window: two for each multiplication of a kernel. */
function forwardOperations(s: LstmShape): number {
  let total = 2 * (inputsOf(s, s.layers) * s.dense + s.dense * s.outputClasses);
  for (let layer = 0; layer < s.layers; layer++) {
    const kernel = (inputsOf(s, layer) + s.units) * 4 * s.units;
    total += 2 * s.windowLength * directions(s).length * kernel;
  }
  return total;
}

function randomWalks(length: number): WindowSet {
  const random = new Random(1);
  const n = shape.windowLength;
  const symbols = new Int32Array(length * n);
  const targets = new Int32Array(length);
  for (let row = 0; row < length; row++) {
    let block = random.below(shape.inputClasses);
    for (let step = 0; step < n; step++) {
      symbols[row * n + step] = block;
      block = (block * 3 + random.below(3)) % shape.inputClasses;
    }
    targets[row] = block % shape.outputClasses;
  }
  return {
    length,
    windowLength: n,
    symbols,
    targets,
    counts: new Float64Array(length).fill(1),
  };
}

/** @returns operations a second of a 1024 x 1024 product */
async function matrixPeak(): Promise<number> {
  const n = 1024;
  const graph = new OnnxGraph('peak');
  graph.input('a', 'float', [n, n]);
  graph.input('b', 'float', [n, n]);
  graph.node('MatMul', ['a', 'b'], {}, 'c');
  graph.output('c', 'float', [n, n]);
  const session = await InferenceSession.create(graph.encode(), { intraOpNumThreads: workers });
  const matrix = () => new Tensor('float32', new Float32Array(n * n).fill(0.5), [n, n]);
  const inputs = { a: matrix(), b: matrix() };
  const seconds: number[] = [];
  for (let run = 0; run < 60; run++) {
    const started = performance.now();
    await session.run(inputs);
    seconds.push((performance.now() - started) / 1000);
  }
  await session.release();
  return (2 * n ** 3) / Math.min(...seconds);
}

async function trainingRate(batchSize: number, prior: NgramTable | undefined): Promise<number> {
  const windows = randomWalks(Math.max(2048, batchSize * 2));
  const lstm = Lstm.create(shape, prior, { device: 'cpu', workers, dropout: 0.5, seed: 1 });
  const epochs: EpochReport[] = [];
  await trainLstm(
    lstm,
    windows,
    {
      epochs: 6,
      batchSize,
      optimizer: {
        kind: 'rmsprop',
        learningRate: 1e-3,
        decay: 0,
        schedule: 'constant',
        clipNorm: 0,
      },
      weighting: { order: 'drawn', power: 0, cap: 0 },
      keepBest: false,
      seed: 1,
      patience: 0,
    },
    context,
    async (report) => {
      epochs.push(report);
    },
  );
  await lstm.dispose();
  // The first epoch also opens the sessions.
  return Math.max(...epochs.slice(1).map((epoch) => epoch.windows / epoch.seconds));
}

async function inferenceRate(): Promise<number> {
  const windows = randomWalks(8192);
  const lstm = Lstm.create(shape, undefined, { device: 'cpu', workers, dropout: 0, seed: 1 });
  const marks: { readonly done: number; readonly at: number }[] = [];
  await lstm.predict(windows, {
    ...context,
    progress: ({ done }) => marks.push({ done, at: performance.now() }),
  });
  await lstm.dispose();
  // The fastest eight runs in a row; opening the sessions falls into the first.
  let best = 0;
  for (let i = 8; i < marks.length; i++) {
    const seconds = (marks[i]!.at - marks[i - 8]!.at) / 1000;
    best = Math.max(best, (marks[i]!.done - marks[i - 8]!.done) / seconds);
  }
  return best;
}

const forward = forwardOperations(shape);
const prior = NgramTable.fit(randomWalks(4096), shape.outputClasses);
const tasks: readonly [string, () => Promise<number>, number][] = [
  ['training, batch 512', () => trainingRate(512, undefined), 3 * forward],
  ['training, batch 2048', () => trainingRate(2048, undefined), 3 * forward],
  ['training, batch 2048, on the n-gram', () => trainingRate(2048, prior), 3 * forward],
  ['prediction', inferenceRate, forward],
];
console.log(`${cpus()[0]?.model}, ${workers} workers, Node ${process.version}`);
console.log(`${shape.inputClasses} input and ${shape.outputClasses} output classes`);
for (const [name, measure, operations] of tasks) {
  const before = await matrixPeak();
  const rate = await measure();
  const peak = Math.max(before, await matrixPeak());
  const speed = rate * operations;
  const product = { name: 'a large matrix product', value: peak / 1e9 };
  tell({ name, value: speed / 1e9, unit: 'GFLOP/s', peer: product });
  console.log(
    `${name.padEnd(36)} ${rate.toFixed(0).padStart(6)} windows/s, ${(speed / 1e9).toFixed(0).padStart(4)} GFLOP/s, ${((100 * speed) / peak).toFixed(0).padStart(3)} % of ${(peak / 1e9).toFixed(0)}`,
  );
}
