import { UserError } from '../../../base/errors.ts';
import type { OnnxModel, OnnxNode, OnnxTensor } from '../../onnx/read-model.ts';

/** One step of a network that is a chain, with its weights. */
export type Step =
  | { readonly kind: 'embedding'; readonly table: OnnxTensor }
  | {
      readonly kind: 'lstm';
      readonly node: OnnxNode;
      /** By input of the node, where that is a constant. */
      readonly tensors: readonly (OnnxTensor | undefined)[];
    }
  | { readonly kind: 'relu' }
  | {
      readonly kind: 'dense';
      readonly weights: OnnxTensor;
      /** The weights are `[outputs, inputs]`. */
      readonly isTransposed: boolean;
      bias: OnnxTensor | undefined;
    }
  | { readonly kind: 'softmax' };

/** Move numbers about, and change none: whether they do what they should shows when the graph runs. */
const moves = new Set([
  'Cast',
  'Dropout',
  'Flatten',
  'Identity',
  'Reshape',
  'Slice',
  'Squeeze',
  'Transpose',
  'Unsqueeze',
]);

/**
 * Follows the numbers from a model's input to its output.
 *
 * @throws UserError `onnx-network-unknown`, naming the first node that is not known
 */
export function chainOf(model: OnnxModel, path: string): Step[] {
  const consumers = new Map<string, OnnxNode[]>();
  for (const node of model.nodes) {
    for (const input of node.inputs) {
      const known = consumers.get(input) ?? [];
      known.push(node);
      consumers.set(input, known);
    }
  }
  const constants = constantsOf(model);
  const [input] = model.inputs;
  const [output] = model.outputs;
  if (input === undefined || model.inputs.length > 1 || output === undefined) {
    const names = model.inputs.map(({ name }) => name).join(', ') || 'none';
    throw unknown(
      path,
      'inputs',
      `it takes ${names}; one input, windows of classes, is known here`,
    );
  }
  const steps: Step[] = [];
  const seen = new Set<string>();
  let value = input.name;
  while (value !== output.name) {
    if (seen.has(value)) throw unknown(path, value, 'its nodes lead in a circle');
    seen.add(value);
    const node = (consumers.get(value) ?? []).find(({ operator }) => operator !== 'Shape');
    if (node === undefined) throw unknown(path, value, `nothing takes ${value}`);
    const step = stepOf(node, value, constants);
    if (step === undefined) {
      const name = node.name === '' ? node.outputs.join(', ') : node.name;
      throw unknown(path, name, `the node ${name} (${node.operator}) is not known here`);
    }
    addStep(steps, step);
    // An LSTM gives all steps, and the last one beside them: whichever is used.
    const next = node.outputs.find((name) => name === output.name || consumers.has(name));
    if (next === undefined) throw unknown(path, node.name, `nothing takes what ${node.name} gives`);
    value = next;
  }
  return steps;
}

/** Initializers, and what nodes of constants give. */
function constantsOf({ nodes, initializers }: OnnxModel): ReadonlyMap<string, OnnxTensor> {
  const constants = new Map(initializers);
  for (const { operator, outputs, attributes } of nodes) {
    const tensor = operator === 'Constant' ? attributes.get('value')?.tensor : undefined;
    const [name] = outputs;
    if (tensor !== undefined && name !== undefined) constants.set(name, tensor);
  }
  return constants;
}

type Taken = Step | 'moves' | { readonly kind: 'bias'; readonly bias: OnnxTensor };

function stepOf(
  node: OnnxNode,
  value: string,
  constants: ReadonlyMap<string, OnnxTensor>,
): Taken | undefined {
  const { operator, inputs, attributes } = node;
  if (moves.has(operator)) return 'moves';
  const integer = (name: string): number => attributes.get(name)?.integer ?? 0;
  switch (operator) {
    case 'Gather': {
      const table = constants.get(inputs[0] ?? '');
      if (inputs[1] === value && table?.dimensions.length === 2)
        return { kind: 'embedding', table };
      // One step of all.
      return inputs[0] === value && constants.has(inputs[1] ?? '') ? 'moves' : undefined;
    }
    case 'LSTM':
      return inputs[0] === value
        ? { kind: 'lstm', node, tensors: inputs.map((name) => constants.get(name)) }
        : undefined;
    case 'Relu':
      return { kind: 'relu' };
    case 'Softmax':
      return { kind: 'softmax' };
    case 'Gemm': {
      const weights = constants.get(inputs[1] ?? '');
      const isPlain =
        (attributes.get('alpha')?.float ?? 1) === 1 && (attributes.get('beta')?.float ?? 1) === 1;
      if (inputs[0] !== value || weights === undefined || !isPlain || integer('transA') !== 0) {
        return undefined;
      }
      const bias = constants.get(inputs[2] ?? '');
      return { kind: 'dense', weights, bias, isTransposed: integer('transB') === 1 };
    }
    case 'MatMul': {
      const weights = constants.get(inputs[1] ?? '');
      if (inputs[0] !== value || weights === undefined) return undefined;
      return { kind: 'dense', weights, bias: undefined, isTransposed: false };
    }
    case 'Add': {
      const bias = constants.get(inputs.find((name) => name !== value) ?? '');
      return bias === undefined ? undefined : { kind: 'bias', bias };
    }
    default:
      return undefined;
  }
}

function addStep(steps: Step[], step: Taken): void {
  if (step === 'moves') return;
  if (step.kind !== 'bias') {
    steps.push(step);
    return;
  }
  const last = steps.at(-1);
  if (last?.kind === 'dense' && last.bias === undefined) last.bias = step.bias;
}

export function unknown(path: string, place: string, message: string): UserError {
  return new UserError('onnx-network-unknown', message, { category: 'input', path, place });
}
