/**
 * Does a device compute the same gradients as the processor, and how fast?
 *
 *     node bench/gpu.bench.ts [DEVICE, default webgpu] [WINDOWS IN A BATCH, default 512]
 *
 * Runs the default network's training step on both, on windows over many blocks and over three:
 * repeated blocks are where devices that sum without order or atomics go wrong. The difference is
 * the largest of any parameter, relative to the largest gradient. Ends with code 3 when it is above
 * 1e-3, with 2 when the device is not there.
 *
 * CUDA takes libraries that onnxruntime-node's install script fetches:
 * `npm rebuild onnxruntime-node --ignore-scripts=false`.
 */
import { UserError } from '../src/base/errors.ts';
import { Random } from '../src/base/random.ts';
import { Lstm } from '../src/model/lstm.ts';
import { defaultShape, type LstmShape, parameterLayout } from '../src/model/lstm-shape.ts';
import type { GradientJob } from '../src/model/lstm-worker.ts';

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
  /** In the layout of all parameters. */
  readonly gradient: Float32Array;
  readonly windowsPerSecond: number;
}

async function measure(on: string, blocks: number): Promise<Outcome> {
  const lstm = Lstm.create(shape, undefined, { device: on, workers: 1, dropout: 0.5, seed: 1 });
  try {
    const work = job(blocks);
    const { tokens, tokenGradient } = await lstm.pool.gradient(0, work);
    const gradient = new Float32Array(layout.length);
    gradient.set(work.gradient, layout.denseOffset);
    tokens.forEach((token, i) => {
      const from = i * shape.embedding;
      gradient.set(tokenGradient.subarray(from, from + shape.embedding), token * shape.embedding);
    });
    let fastest = Number.POSITIVE_INFINITY;
    for (let run = 0; run < 5; run++) {
      const started = performance.now();
      await lstm.pool.gradient(0, work);
      fastest = Math.min(fastest, (performance.now() - started) / 1000);
    }
    return { gradient, windowsPerSecond: batch / fastest };
  } finally {
    await lstm.dispose();
  }
}

try {
  for (const blocks of [shape.inputClasses, 3]) {
    const other = await measure(device, blocks);
    const cpu = await measure('cpu', blocks);
    let worst = 0;
    let place = '';
    for (const { name, offset, length } of layout.all) {
      let difference = 0;
      let largest = 0;
      for (let i = offset; i < offset + length; i++) {
        // Written so that a gradient that is no number counts.
        const d = Math.abs(cpu.gradient[i]! - other.gradient[i]!);
        if (!(d <= difference)) difference = d;
        largest = Math.max(largest, Math.abs(cpu.gradient[i]!));
      }
      const relative = difference / largest;
      if (!(relative <= worst)) {
        worst = relative;
        place = name;
      }
    }
    console.log(
      `${blocks} distinct blocks: ${device} ${other.windowsPerSecond.toFixed(0)} windows/s, cpu (one thread) ${cpu.windowsPerSecond.toFixed(0)}; gradients differ by ${worst.toExponential(1)} at most (${place || 'nowhere'})`,
    );
    if (!(worst <= tolerance)) process.exitCode = 3;
  }
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = error.category === 'unavailable' ? 2 : 1;
}
