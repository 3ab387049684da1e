import { messageOf, UserError } from '../../../base/errors.ts';
import { silentLogger } from '../../../base/log.ts';
import { Random } from '../../../base/random.ts';
import { type InferenceSession, loadRuntime, openSession } from '../../lstm/engine.ts';
import type { Lstm } from '../../lstm/lstm.ts';
import type { OnnxModel, OnnxValue } from '../../onnx/read-model.ts';
import { unknown } from './chain.ts';

const probes = 4;
/** Single precision, summed in another order. */
const tolerance = 1e-3;

/**
 * Runs both networks on the same windows.
 *
 * @param isSoftmax  the file gives probabilities, not logits
 * @throws UserError `onnx-network-unknown` when the file computes something else than the network here
 */
export async function compareWithOnnx(
  network: Lstm,
  bytes: Uint8Array,
  { inputs, outputs }: OnnxModel,
  isSoftmax: boolean,
  path: string,
): Promise<void> {
  const { windowLength, inputClasses, outputClasses } = network.shape;
  const random = new Random(1);
  const symbols = Int32Array.from({ length: probes * windowLength }, () =>
    random.below(inputClasses),
  );
  const context = { log: silentLogger, progress: () => {} };
  const targets = Int32Array.from({ length: probes }, () => random.below(outputClasses));
  const counts = new Float64Array(probes).fill(1);
  const ours = await network.predict(
    { length: probes, windowLength, symbols, targets, counts },
    context,
  );
  const given = await runOnce(bytes, inputs[0], symbols, path);
  const data = given[outputs[0]?.name ?? '']?.data;
  const theirs = data instanceof Float32Array ? data : new Float32Array(0);
  for (let row = 0; row < probes; row++) {
    const scores = [...theirs.subarray(row * outputClasses, (row + 1) * outputClasses)];
    const probability = isSoftmax ? scores[targets[row] ?? 0] : softmax(scores)[targets[row] ?? 0];
    const expected = ours.targetProbability[row] ?? Number.NaN;
    if (!(Math.abs((probability ?? Number.NaN) - expected) <= tolerance * (expected + tolerance))) {
      throw unknown(
        path,
        'layers',
        'it computes something else than its layers do one after the other',
      );
    }
  }
}

/** @throws UserError `onnx-damaged` when the runtime cannot run it */
async function runOnce(
  bytes: Uint8Array,
  input: OnnxValue | undefined,
  symbols: Int32Array,
  path: string,
): Promise<InferenceSession.OnnxValueMapType> {
  const { Tensor } = await loadRuntime();
  let session: InferenceSession | undefined;
  try {
    session = await openSession(bytes, 'cpu');
    const shape = [probes, symbols.length / probes];
    const tensor =
      input?.type === 6
        ? new Tensor('int32', symbols, shape)
        : input?.type === 1
          ? new Tensor('float32', Float32Array.from(symbols), shape)
          : new Tensor('int64', BigInt64Array.from(symbols, BigInt), shape);
    return await session.run({ [input?.name ?? '']: tensor });
  } catch (cause) {
    const [why] = messageOf(cause).split('\n');
    throw new UserError('onnx-damaged', `ONNX Runtime cannot run it: ${why}`, {
      category: 'input',
      path,
      cause,
    });
  } finally {
    await session?.release();
  }
}

function softmax(logits: readonly number[]): number[] {
  const most = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(logit - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}
