import { writeFileAtomic } from '../../../base/files/write.ts';
import type { Lstm } from '../../lstm/lstm.ts';
import {
  type Direction,
  directions,
  type Gate,
  gateName,
  inputsOf,
  type LstmShape,
  parameterLayout,
} from '../../lstm/shape.ts';
import { OnnxGraph } from '../../onnx/onnx.ts';

/** Metadata that holds the vocabulary: `Vocabulary.serialized`. */
export const vocabularyKey = 'wayward.vocabulary';

/** ONNX' order of gates: input, output, forget, candidate. */
export const onnxGates: readonly Gate[] = ['i', 'o', 'f', 'g'];

/**
 * Writes a network as an ONNX model for any runtime, in the standard's own operators.
 *
 * Input `windows`, int64 `[batch, windowLength]`, input classes, oldest first; output
 * `probabilities`, `[batch, outputClasses]`. A network that was trained on top of an n-gram model
 * has the input `prior`, `[batch, outputClasses]`, too: the n-gram's log-probabilities, which the
 * file does not hold.
 *
 * @param metadata  text that goes into the model beside its shape (`wayward.shape`), by key: the
 *   vocabulary
 * @throws UserError `write-failed`
 */
export async function saveOnnx(
  lstm: Lstm,
  path: string,
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  await writeFileAtomic(path, exportOnnx(lstm, metadata));
}

/** @returns the model file's bytes; see `saveOnnx` */
export function exportOnnx(lstm: Lstm, metadata: Readonly<Record<string, string>>): Uint8Array {
  const { shape } = lstm;
  const graph = new OnnxGraph('wayward');
  const layout = parameterLayout(shape);
  graph.describe('wayward.shape', JSON.stringify(shape));
  graph.describe('wayward.fingerprint', lstm.fingerprint);
  for (const [key, value] of Object.entries(metadata)) graph.describe(key, value);
  const parameter = (name: string): string => {
    const { offset, length, dimensions } = layout.find(name);
    return graph.constant(name, lstm.parameters.slice(offset, offset + length), dimensions);
  };
  graph.constant('rows', BigInt64Array.of(0n, -1n), [2]);
  if (shape.layers > 1) graph.constant('steps', BigInt64Array.of(0n, 0n, -1n), [3]);
  graph.input('windows', 'int64', ['batch', shape.windowLength]);
  const byStep = graph.node('Transpose', ['windows'], { perm: [1, 0] });
  let value = graph.node('Gather', [parameter('embedding'), byStep]);
  for (let layer = 0; layer < shape.layers; layer++) {
    const [all, last] = addLstm(graph, lstm, layer, value);
    if (layer < shape.layers - 1) {
      const joined = graph.node('Transpose', [all], { perm: [0, 2, 1, 3] });
      value = graph.node('Relu', [graph.node('Reshape', [joined, 'steps'])]);
    } else {
      const joined = graph.node('Transpose', [last], { perm: [1, 0, 2] });
      value = graph.node('Reshape', [joined, 'rows']);
    }
  }
  const dense = (input: string, name: string): string =>
    graph.node('Gemm', [input, parameter(`${name}.kernel`), parameter(`${name}.bias`)]);
  let logits = dense(graph.node('Relu', [dense(value, 'hidden')]), 'output');
  if (lstm.prior !== undefined) {
    graph.input('prior', 'float', ['batch', shape.outputClasses]);
    logits = graph.node('Add', [logits, 'prior']);
  }
  graph.node('Softmax', [logits], { axis: 1 }, 'probabilities');
  graph.output('probabilities', 'float', ['batch', shape.outputClasses]);
  return graph.encode();
}

/** @returns names of all states `[steps, directions, batch, units]`, and of the last `[directions, batch, units]` */
function addLstm(
  graph: OnnxGraph,
  { shape, parameters }: Lstm,
  layer: number,
  input: string,
): readonly [string, string] {
  const { units } = shape;
  const inputs = inputsOf(shape, layer);
  const all = directions(shape);
  const kernel = new Float32Array(all.length * 4 * units * inputs);
  const recurrent = new Float32Array(all.length * 4 * units * units);
  // Biases of the input, then of the state, which ours does not have.
  const bias = new Float32Array(all.length * 8 * units);
  all.forEach((direction, d) => {
    onnxGates.forEach((gate, g) => {
      const ours = gateParameters(shape, parameters, layer, direction, gate);
      const first = (d * 4 + g) * units;
      for (let unit = 0; unit < units; unit++) {
        // ONNX has the units in rows, ours has them in columns.
        for (let row = 0; row < inputs; row++)
          kernel[(first + unit) * inputs + row] = ours.kernel[row * units + unit];
        for (let row = 0; row < units; row++)
          recurrent[(first + unit) * units + row] = ours.kernel[(inputs + row) * units + unit];
      }
      bias.set(ours.bias, d * 8 * units + g * units);
    });
  });
  const name = `lstm${layer}`;
  const n = all.length;
  const results = graph.nodes(
    'LSTM',
    [
      input,
      graph.constant(`${name}.W`, kernel, [n, 4 * units, inputs]),
      graph.constant(`${name}.R`, recurrent, [n, 4 * units, units]),
      graph.constant(`${name}.B`, bias, [n, 8 * units]),
    ],
    {
      hidden_size: units,
      direction: shape.bidirectional ? 'bidirectional' : 'forward',
      ...(shape.gate === 'sigmoid'
        ? {}
        : {
            activations: all.flatMap(() => ['HardSigmoid', 'Tanh', 'Tanh']),
            activation_alpha: { float: all.map(() => 0.2) },
            activation_beta: { float: all.map(() => 0.5) },
          }),
    },
    2,
  );
  return [results[0], results[1]];
}

function gateParameters(
  shape: LstmShape,
  parameters: Float32Array,
  layer: number,
  direction: Direction,
  gate: Gate,
): { readonly kernel: Float32Array; readonly bias: Float32Array } {
  const layout = parameterLayout(shape);
  const values = (part: string): Float32Array => {
    const { offset, length } = layout.find(`${gateName(layer, direction, gate)}.${part}`);
    return parameters.subarray(offset, offset + length);
  };
  return { kernel: values('kernel'), bias: values('bias') };
}
