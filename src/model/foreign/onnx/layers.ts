import type { LstmShape } from '../../lstm/shape.ts';
import type { OnnxModel, OnnxTensor } from '../../onnx/read-model.ts';
import { type Step, unknown } from './chain.ts';

export type Dense = Extract<Step, { kind: 'dense' }>;

/** The ancestor's network, layer by layer. */
export interface Layers {
  readonly table: OnnxTensor;
  readonly lstms: readonly LstmWeights[];
  readonly hidden: Dense;
  readonly output: Dense;
}

export interface LstmWeights {
  readonly place: string;
  /** `[directions, 4 * units, inputs]`. */
  readonly input: OnnxTensor;
  /** `[directions, 4 * units, units]`. */
  readonly recurrent: OnnxTensor;
  /** `[directions, 8 * units]`: of the input, then of the state. */
  readonly bias: OnnxTensor | undefined;
  readonly units: number;
  readonly isBidirectional: boolean;
  readonly gate: LstmShape['gate'];
}

const letters = { embedding: 'E', lstm: 'L', relu: 'R', dense: 'D', softmax: 'S' } as const;

/** @throws UserError `onnx-network-unknown` */
export function layersOf(steps: readonly Step[], path: string): Layers {
  const text = steps.map(({ kind }) => letters[kind]).join('');
  const [embedding] = steps;
  const dense = steps.filter((step) => step.kind === 'dense');
  const [hidden, output] = dense;
  if (
    !/^E(?:LR)*LDRDS?$/.test(text) ||
    embedding?.kind !== 'embedding' ||
    hidden === undefined ||
    output === undefined
  ) {
    throw unknown(
      path,
      'layers',
      'its layers are not an embedding, LSTMs with ReLU between, a hidden layer with ReLU, an output',
    );
  }
  const lstms = steps.filter((step) => step.kind === 'lstm');
  return {
    table: embedding.table,
    lstms: lstms.map((step) => lstmWeights(step, path)),
    hidden,
    output,
  };
}

type LstmStep = Extract<Step, { kind: 'lstm' }>;

/** What the standard's operator can do and the network here does not. */
const extras = ['clip', 'input_forget', 'layout'] as const;

function lstmWeights({ node, tensors }: LstmStep, path: string): LstmWeights {
  const { attributes } = node;
  const place = node.name || (node.outputs[0] ?? 'LSTM');
  const [, input, recurrent, bias, , , , peepholes] = tensors;
  if (input === undefined || recurrent === undefined) {
    throw unknown(path, place, `the weights of ${place} are no constants`);
  }
  const extra = extras.find((name) => {
    const attribute = attributes.get(name);
    return attribute !== undefined && (attribute.integer !== 0 || attribute.float !== 0);
  });
  if (extra !== undefined) throw unknown(path, place, `${place} has ${extra}`);
  if (peepholes !== undefined) throw unknown(path, place, `${place} has peepholes`);
  const direction = attributes.get('direction')?.text ?? 'forward';
  if (direction === 'reverse') throw unknown(path, place, `${place} runs backwards`);
  return {
    ...{ place, input, recurrent, bias },
    units: recurrent.dimensions[2] ?? 0,
    isBidirectional: direction === 'bidirectional',
    gate: gateOf(attributes.get('activations')?.texts ?? [], place, path),
  };
}

function gateOf(activations: readonly string[], place: string, path: string): LstmShape['gate'] {
  const names = activations.join();
  if (/^(?:Sigmoid,Tanh,Tanh(?:,|$))*$/.test(names)) return 'sigmoid';
  if (/^(?:HardSigmoid,Tanh,Tanh(?:,|$))+$/.test(names)) return 'hardSigmoid';
  throw unknown(path, place, `${place} has the activations ${names}`);
}

const mostBlocks = 2 ** 16;

/** @throws UserError `onnx-network-unknown` */
export function shapeOf(
  { table, lstms, hidden, output }: Layers,
  { inputs }: OnnxModel,
  path: string,
  windowLength: number,
): LstmShape {
  const [first] = lstms;
  if (first === undefined) throw unknown(path, 'layers', 'it has no LSTM');
  const odd = lstms.find(
    ({ units, isBidirectional, gate }) =>
      units !== first.units || isBidirectional !== first.isBidirectional || gate !== first.gate,
  );
  if (odd !== undefined) {
    throw unknown(path, odd.place, `${odd.place} differs from ${first.place} in size or direction`);
  }
  const [inputClasses = 0, embedding = 0] = table.dimensions;
  const length = inputs[0]?.dimensions[1] ?? windowLength;
  if (!(length >= 1 && length <= mostBlocks)) {
    throw unknown(path, 'inputs', `its windows have ${length} blocks, not 1 to ${mostBlocks}`);
  }
  return {
    windowLength: length,
    ...{ inputClasses, embedding, outputClasses: sizeOf(output), dense: sizeOf(hidden) },
    ...{ units: first.units, layers: lstms.length, bidirectional: first.isBidirectional },
    gate: first.gate,
  };
}

function sizeOf({ weights, isTransposed }: Dense): number {
  return weights.dimensions[isTransposed ? 0 : 1] ?? 0;
}
