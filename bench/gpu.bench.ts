/**
 * Does a device compute the same gradients as the processor, and how fast?
 *
 *     npm run bench:gpu [DEVICES, default webgpu; e.g. cuda:0,cuda:1] [WINDOWS IN A BATCH, default 512]
 *
 * Runs the default network's training step on both, on windows over many blocks and over three:
 * repeated blocks are where devices that sum without order or atomics go wrong. Each device computes a
 * batch of its own at the same time, as in training with several; gradients are those of the first,
 * which the others have to equal. The difference is the largest of any parameter, relative to the
 * largest gradient. Ends with code 3 when it is above 1e-3, with 2 when a device is not there.
 *
 * CUDA takes libraries that onnxruntime-node's install script fetches:
 * `npm rebuild onnxruntime-node --ignore-scripts=false`.
 */
import { UserError } from '../src/base/errors.ts';
import { Random } from '../src/base/random.ts';
import { Lstm } from '../src/model/lstm/lstm.ts';
import { defaultShape, type LstmShape, parameterLayout } from '../src/model/lstm/shape.ts';
import type { GradientJob, GradientResult } from '../src/model/lstm/worker.ts';

const device = process.argv[2] ?? 'webgpu';
const batch = Number(process.argv[3] ?? 512);
const tolerance = 1e-3;
const shape: LstmShape = { ...defaultShape, inputClasses: 1024, outputClasses: 1024 };
const layout = parameterLayout(shape);

function job(blocks: number): Omit<GradientJob, 'kind' | 'id'> {
  const random = new Random(blocks);
  return {
    symbols: Int32Array.from({ length: batch * shape.windowLength }, () => random.below(blocks)),
    targets: Int32Array.from({ length: batch }, () => random.below(shape.outputClasses)),
    weights: new Float32Array(batch).fill(1 / batch),
    ownWeights: new Float32Array(batch),
    serial: 0,
    gradient: new Float32Array(new SharedArrayBuffer(4 * (layout.length - layout.denseOffset))),
  };
}

interface Outcome {
  /** One for each device, in the layout of all parameters. */
  readonly gradients: readonly Float32Array[];
  readonly windowsPerSecond: number;
}

async function measure(on: string, blocks: number): Promise<Outcome> {
  const lstm = Lstm.create(shape, undefined, { device: on, workers: 1, dropout: 0.5, seed: 1 });
  try {
    const works = Array.from({ length: lstm.pool.size }, () => job(blocks));
    const all = (): Promise<GradientResult[]> =>
      Promise.all(works.map((work, worker) => lstm.pool.gradient(worker, work)));
    const gradients = (await all()).map(({ tokens, tokenGradient }, worker) => {
      const gradient = new Float32Array(layout.length);
      gradient.set(works[worker]!.gradient, layout.denseOffset);
      tokens.forEach((token, i) => {
        const from = i * shape.embedding;
        gradient.set(tokenGradient.subarray(from, from + shape.embedding), token * shape.embedding);
      });
      return gradient;
    });
    let fastest = Number.POSITIVE_INFINITY;
    for (let run = 0; run < 5; run++) {
      const started = performance.now();
      await all();
      fastest = Math.min(fastest, (performance.now() - started) / 1000);
    }
    return { gradients, windowsPerSecond: (works.length * batch) / fastest };
  } finally {
    await lstm.dispose();
  }
}

/** The largest difference of a parameter's gradients, relative to the largest of them. */
function compare(
  gradient: Float32Array,
  expected: Float32Array,
): { readonly worst: number; readonly place: string } {
  let worst = 0;
  let place = 'nowhere';
  for (const { name, offset, length } of layout.all) {
    let difference = 0;
    let largest = 0;
    for (let i = offset; i < offset + length; i++) {
      // Written so that a gradient that is no number counts.
      const d = Math.abs(expected[i]! - gradient[i]!);
      if (!(d <= difference)) difference = d;
      largest = Math.max(largest, Math.abs(expected[i]!));
    }
    const relative = difference / largest;
    if (!(relative <= worst)) {
      worst = relative;
      place = name;
    }
  }
  return { worst, place };
}

try {
  for (const blocks of [shape.inputClasses, 3]) {
    const other = await measure(device, blocks);
    const cpu = await measure('cpu', blocks);
    const { worst, place } = other.gradients
      .map((gradient) => compare(gradient, cpu.gradients[0]!))
      .reduce((a, b) => (b.worst <= a.worst ? a : b));
    console.log(
      `${blocks} distinct blocks: ${device} ${other.windowsPerSecond.toFixed(0)} windows/s, cpu (one thread) ${cpu.windowsPerSecond.toFixed(0)}; gradients differ by ${worst.toExponential(1)} at most (${place})`,
    );
    if (!(worst <= tolerance)) process.exitCode = 3;
  }
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = error.category === 'unavailable' ? 2 : 1;
}
