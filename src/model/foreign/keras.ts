import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { messageOf, readWholeFile, writeFileAtomic } from '../../base/files.ts';
import { Lstm, type LstmOptions } from '../lstm/lstm.ts';
import {
  type Direction,
  directions,
  gateName,
  gates,
  inputsOf,
  type LstmShape,
  parameterLayout,
} from '../lstm/shape.ts';

/**
 * Model files of Keras 2: the network as `model.to_json()` writes it, the weights as
 * `model.save_weights()` does, HDF5 with one group a layer. Files of `model.save()` are read too;
 * they keep the same groups under `model_weights`.
 *
 * What can be read is the ancestor's network, with other sizes, one or both directions, gates
 * `sigmoid` or `hard_sigmoid`. Everything else is refused by name, not approximated.
 */

/** The network as JSON tells it, and its layers that have weights, in order. */
interface KerasNetwork {
  readonly shape: LstmShape;
  readonly dropout: number;
  /** Names of the HDF5 groups: embedding, LSTMs, hidden layer, output. */
  readonly weighted: readonly string[];
}

interface Weight {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * @returns the network that a model file describes, without weights
 * @param windowLength  used where the model does not say its input length
 * @throws UserError `not-readable`, `keras-model-damaged`, `keras-network-unknown`
 */
export async function kerasShape(
  modelPath: string,
  windowLength: number,
): Promise<{ readonly shape: LstmShape; readonly dropout: number }> {
  const { shape, dropout } = await readNetwork(modelPath, windowLength);
  return { shape, dropout };
}

/**
 * @param model  model file, or the shape of a network whose layers have Keras' own names
 * @param windowLength  used where the model file does not say its input length
 * @throws UserError `not-readable`, `keras-model-damaged`, `keras-network-unknown`, `hdf5-damaged`,
 *   `keras-weights-do-not-fit`
 */
export async function loadKeras(
  model: string | LstmShape,
  weightsPath: string,
  options: Omit<LstmOptions, 'dropout'>,
  windowLength = 32,
): Promise<Lstm> {
  const network =
    typeof model === 'string'
      ? await readNetwork(model, windowLength)
      : { shape: model, dropout: 0, weighted: weightedNames(model) };
  const layers = await readWeights(weightsPath, network.weighted);
  const lstm = Lstm.create(network.shape, undefined, { ...options, dropout: network.dropout });
  fillParameters(lstm, network, layers, weightsPath);
  return lstm;
}

/**
 * Writes `model.to_json()`'s and `model.save_weights()`'s files.
 *
 * @throws UserError `keras-cannot-hold-prior`, `write-failed`
 */
export async function saveKeras(lstm: Lstm, modelPath: string, weightsPath: string): Promise<void> {
  if (lstm.prior !== undefined) {
    throw new UserError(
      'keras-cannot-hold-prior',
      'this network adds its logits to those of an n-gram model, which Keras files cannot hold: train it without one',
      { category: 'arguments' },
    );
  }
  // The HDF5 library writes files only; ours get their place when they are whole.
  const folder = await mkdtemp(join(tmpdir(), 'wayward-keras-'));
  try {
    const draft = join(folder, 'weights.h5');
    await writeWeights(lstm, draft);
    await writeFileAtomic(weightsPath, await readFile(draft));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  await writeFileAtomic(modelPath, JSON.stringify(describe(lstm)));
}

// Reading the network

async function readNetwork(path: string, windowLength: number): Promise<KerasNetwork> {
  return parseKerasModel(await readWholeFile(path), path, windowLength);
}

interface LayerJson {
  readonly class_name?: string;
  readonly config?: Readonly<Record<string, unknown>>;
}

/** The ancestor's layers as letters: Embedding, Lstm, Relu, Dense, drOpout, Softmax. */
const ancestorsNetwork = /^E(?:LR)*LDRO?DS$/;

function parseKerasModel(bytes: Uint8Array, path: string, windowLength: number): KerasNetwork {
  let root: { class_name?: string; config?: unknown } | null;
  try {
    root = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw new UserError('keras-model-damaged', 'is no JSON', { category: 'input', path, cause });
  }
  const config = root?.config as { layers?: unknown } | unknown[] | undefined;
  const list = Array.isArray(config) ? config : config?.layers;
  if (root?.class_name !== 'Sequential' || !Array.isArray(list)) {
    throw new UserError('keras-model-damaged', 'is no sequential model of Keras', {
      category: 'input',
      path,
    });
  }
  const unknown = (place: string, message: string): UserError =>
    new UserError('keras-network-unknown', message, { category: 'input', path, place });
  const letters: string[] = [];
  const weighted: string[] = [];
  const units: { lstm: number[]; dense: number[] } = { lstm: [], dense: [] };
  const cells: { readonly gate: unknown; readonly bidirectional: boolean }[] = [];
  let inputLength: number | undefined;
  let inputClasses = 0;
  let embedding = 0;
  let dropout = 0;
  const activation = (name: unknown, place: string): void => {
    if (name === 'linear' || name === undefined) return;
    const letter = name === 'relu' ? 'R' : name === 'softmax' ? 'S' : undefined;
    if (letter === undefined) throw unknown(place, `${place} has the activation ${String(name)}`);
    letters.push(letter);
  };
  for (const layer of list as LayerJson[]) {
    const own = layer?.config ?? {};
    const place = String(own.name ?? layer?.class_name);
    const input = (own.batch_input_shape ?? own.batch_shape) as unknown[] | undefined;
    if (typeof input?.[1] === 'number') inputLength ??= input[1];
    switch (layer?.class_name) {
      case 'InputLayer':
        continue;
      case 'Embedding':
        if (own.mask_zero === true) throw unknown(place, `${place} masks class 0`);
        letters.push('E');
        inputClasses = size(own.input_dim);
        embedding = size(own.output_dim);
        break;
      case 'Bidirectional':
      case 'LSTM': {
        const bidirectional = layer.class_name === 'Bidirectional';
        const inner = bidirectional ? (own.layer as LayerJson | undefined) : layer;
        const lstm = inner?.config ?? {};
        if (inner?.class_name !== 'LSTM') throw unknown(place, `${place} wraps no LSTM`);
        if (bidirectional && own.merge_mode !== 'concat')
          throw unknown(place, `${place} does not concatenate its directions`);
        if (lstm.activation !== 'tanh' || lstm.use_bias !== true || lstm.go_backwards)
          throw unknown(place, `${place} is no plain LSTM with tanh and biases`);
        letters.push('L');
        units.lstm.push(size(lstm.units));
        cells.push({ gate: lstm.recurrent_activation, bidirectional });
        break;
      }
      case 'Dense':
        if (own.use_bias !== true) throw unknown(place, `${place} has no bias`);
        letters.push('D');
        units.dense.push(size(own.units));
        activation(own.activation, place);
        break;
      case 'Activation':
        activation(own.activation, place);
        continue;
      case 'Dropout':
        letters.push('O');
        dropout = typeof own.rate === 'number' ? own.rate : 0;
        continue;
      default:
        throw unknown(place, `${place} is a ${String(layer?.class_name)}, which is not known here`);
    }
    weighted.push(place);
  }
  if (!ancestorsNetwork.test(letters.join(''))) {
    throw unknown('layers', 'its layers are not Embedding, LSTMs with ReLU between, Dense, Dense');
  }
  const [first] = cells as [(typeof cells)[0]];
  const isUniform =
    units.lstm.every((n) => n === units.lstm[0]) &&
    cells.every((c) => c.gate === first.gate && c.bidirectional === first.bidirectional);
  if (!isUniform) throw unknown('layers', 'its LSTMs differ in size, direction or gates');
  if (first.gate !== 'sigmoid' && first.gate !== 'hard_sigmoid')
    throw unknown('layers', `its gates are ${String(first.gate)}`);
  const shape: LstmShape = {
    windowLength: inputLength ?? windowLength,
    inputClasses,
    outputClasses: units.dense[1]!,
    embedding,
    units: units.lstm[0]!,
    layers: units.lstm.length,
    bidirectional: first.bidirectional,
    dense: units.dense[0]!,
    gate: first.gate === 'sigmoid' ? 'sigmoid' : 'hardSigmoid',
  };
  if (Object.values(shape).includes(0)) throw unknown('layers', 'a layer has no size');
  return { shape, dropout, weighted };
}

function size(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : 0;
}

// Reading the weights

/** Loaded late, and told to throw what it would print. */
async function openHdf5Library(): Promise<typeof import('h5wasm/node').default> {
  const { default: h5wasm } = await import('h5wasm/node');
  const { activate_throwing_error_handler } = await h5wasm.ready;
  activate_throwing_error_handler();
  return h5wasm;
}

/** `\x89HDF`. */
const hdf5Magic = 0x46444889;

async function readWeights(path: string, names: readonly string[]): Promise<readonly Weight[][]> {
  const bytes = await readWholeFile(path);
  if (bytes.length < 8 || bytes.readUInt32LE(0) !== hdf5Magic) {
    throw new UserError('hdf5-damaged', 'is no HDF5 file', { category: 'input', path });
  }
  const h5wasm = await openHdf5Library();
  let layers: Weight[][];
  let found: string[] = [];
  try {
    const file = new h5wasm.File(path, 'r');
    try {
      const root = file.keys().includes('model_weights') ? file.get('model_weights') : file;
      if (!(root instanceof h5wasm.Group)) throw new Error('model_weights is no group');
      found = root.keys();
      layers = names.map((name) => {
        const group = root.get(name);
        if (!(group instanceof h5wasm.Group)) return [];
        const paths = group.attrs.weight_names?.value;
        return (Array.isArray(paths) ? paths : []).map((weightPath) => {
          const data = group.get(String(weightPath));
          if (!(data instanceof h5wasm.Dataset)) throw new Error(`${weightPath} is missing`);
          const values = data.value;
          if (!ArrayBuffer.isView(values)) throw new Error(`${weightPath} cannot be read`);
          return { shape: data.shape ?? [], data: Float32Array.from(values as Float32Array) };
        });
      });
    } finally {
      file.close();
    }
  } catch (cause) {
    const why = messageOf(cause).split('\n')[0]!;
    throw new UserError('hdf5-damaged', `is cut off or damaged: ${why}`, {
      category: 'input',
      path,
      cause,
    });
  }
  const missing = names.find((_, index) => layers[index]!.length === 0);
  if (missing !== undefined) {
    throw new UserError(
      'keras-weights-do-not-fit',
      `has no weights for the layer ${missing}; its layers are ${found.join(', ') || 'none'}`,
      { category: 'input', path, place: missing },
    );
  }
  return layers;
}

function fillParameters(
  lstm: Lstm,
  network: KerasNetwork,
  layers: readonly Weight[][],
  path: string,
): void {
  const { shape, parameters } = lstm;
  const layout = parameterLayout(shape);
  const take = (layer: number, index: number, ...expected: number[]): Float32Array => {
    const weight = layers[layer]![index];
    if (weight === undefined || weight.shape.join() !== expected.join()) {
      const name = network.weighted[layer]!;
      const has = weight === undefined ? 'nothing' : `[${weight.shape.join(', ')}]`;
      throw new UserError(
        'keras-weights-do-not-fit',
        `weight ${index} of ${name} is ${has} where the model takes [${expected.join(', ')}]`,
        { category: 'input', path, place: name },
      );
    }
    return weight.data;
  };
  const put = (name: string, values: Float32Array): void => {
    parameters.set(values, layout.find(name).offset);
  };
  put('embedding', take(0, 0, shape.inputClasses, shape.embedding));
  const { units } = shape;
  for (let layer = 0; layer < shape.layers; layer++) {
    const inputs = inputsOf(shape, layer);
    directions(shape).forEach((direction, d) => {
      const kernel = take(layer + 1, d * 3, inputs, 4 * units);
      const recurrent = take(layer + 1, d * 3 + 1, units, 4 * units);
      const bias = take(layer + 1, d * 3 + 2, 4 * units);
      eachGateRow(shape, layer, direction, (name, offset, row, column) => {
        const source = row < inputs ? kernel : recurrent;
        const from = (row < inputs ? row : row - inputs) * 4 * units + column;
        parameters.set(source.subarray(from, from + units), offset);
        if (row === 0) put(`${name}.bias`, bias.subarray(column, column + units));
      });
    });
  }
  const hidden = shape.layers + 1;
  put('hidden.kernel', take(hidden, 0, inputsOf(shape, shape.layers), shape.dense));
  put('hidden.bias', take(hidden, 1, shape.dense));
  put('output.kernel', take(hidden + 1, 0, shape.dense, shape.outputClasses));
  put('output.bias', take(hidden + 1, 1, shape.outputClasses));
}

/**
 * Visits the rows of an LSTM's four gate kernels: ours are one matrix a gate, input rows above
 * state rows; Keras has one matrix for the input and one for the state, gates side by side.
 *
 * @param visit  gets the gate's name, the row's offset among all parameters, the row, and the first
 *   column of the gate in Keras' matrices
 */
function eachGateRow(
  shape: LstmShape,
  layer: number,
  direction: Direction,
  visit: (name: string, offset: number, row: number, column: number) => void,
): void {
  const layout = parameterLayout(shape);
  gates.forEach((gate, g) => {
    const name = gateName(layer, direction, gate);
    const { offset } = layout.find(`${name}.kernel`);
    const rows = inputsOf(shape, layer) + shape.units;
    for (let row = 0; row < rows; row++) {
      visit(name, offset + row * shape.units, row, g * shape.units);
    }
  });
}

// Writing

/** Keras' own names, as a fresh session gives them. */
const kerasVersion = '2.2.4';

async function writeWeights(lstm: Lstm, path: string): Promise<void> {
  const { shape, parameters } = lstm;
  const layout = parameterLayout(shape);
  const values = (name: string): Float32Array => {
    const { offset, length } = layout.find(name);
    return parameters.slice(offset, offset + length);
  };
  const h5wasm = await openHdf5Library();
  const file = new h5wasm.File(path, 'w');
  try {
    const names = layerNames(shape);
    file.create_attribute('layer_names', names);
    file.create_attribute('backend', 'tensorflow');
    file.create_attribute('keras_version', kerasVersion);
    const group = (layer: string, weights: readonly [string, Float32Array, number[]][]): void => {
      const made = file.create_group(layer);
      const paths = weights.map(([name]) => `${layer}/${name}:0`);
      if (paths.length === 0) made.create_attribute('weight_names', new Float64Array(0), [0]);
      else made.create_attribute('weight_names', paths);
      for (const [name, data, dimensions] of weights) {
        let parent = made;
        const steps = `${layer}/${name}:0`.split('/');
        const leaf = steps.pop()!;
        for (const step of steps) {
          const known = parent.get(step);
          parent = known instanceof h5wasm.Group ? known : parent.create_group(step);
        }
        parent.create_dataset({ name: leaf, data, shape: dimensions, dtype: '<f' });
      }
    };
    const weighted = new Set<string>();
    const add = (layer: string, weights: readonly [string, Float32Array, number[]][]): void => {
      weighted.add(layer);
      group(layer, weights);
    };
    add('embedding_1', [
      ['embeddings', values('embedding'), [shape.inputClasses, shape.embedding]],
    ]);
    const { units } = shape;
    for (let layer = 0; layer < shape.layers; layer++) {
      const inputs = inputsOf(shape, layer);
      const weights: [string, Float32Array, number[]][] = [];
      for (const direction of directions(shape)) {
        const kernel = new Float32Array(inputs * 4 * units);
        const recurrent = new Float32Array(units * 4 * units);
        const bias = new Float32Array(4 * units);
        eachGateRow(shape, layer, direction, (name, offset, row, column) => {
          const target = row < inputs ? kernel : recurrent;
          const to = (row < inputs ? row : row - inputs) * 4 * units + column;
          target.set(parameters.subarray(offset, offset + units), to);
          if (row === 0) bias.set(values(`${name}.bias`), column);
        });
        const prefix = shape.bidirectional ? `${direction}_lstm_${layer + 1}/` : '';
        weights.push(
          [`${prefix}kernel`, kernel, [inputs, 4 * units]],
          [`${prefix}recurrent_kernel`, recurrent, [units, 4 * units]],
          [`${prefix}bias`, bias, [4 * units]],
        );
      }
      add(lstmName(shape, layer), weights);
    }
    const dense = (layer: string, ours: string): void => {
      const { dimensions } = layout.find(`${ours}.kernel`);
      add(layer, [
        ['kernel', values(`${ours}.kernel`), [...dimensions]],
        ['bias', values(`${ours}.bias`), [dimensions[1]!]],
      ]);
    };
    dense('dense_1', 'hidden');
    dense('dense_2', 'output');
    for (const name of names) if (!weighted.has(name)) group(name, []);
    file.flush();
  } finally {
    file.close();
  }
}

function lstmName(shape: LstmShape, layer: number): string {
  return `${shape.bidirectional ? 'bidirectional' : 'lstm'}_${layer + 1}`;
}

function layerNames(shape: LstmShape): string[] {
  return kerasLayers(shape, 0).map(({ config }) => String(config.name));
}

/** Names of the layers that have weights, as `KerasNetwork.weighted`. */
function weightedNames(shape: LstmShape): string[] {
  const lstms = Array.from({ length: shape.layers }, (_, layer) => lstmName(shape, layer));
  return ['embedding_1', ...lstms, 'dense_1', 'dense_2'];
}

function kerasLayers(
  shape: LstmShape,
  dropout: number,
): { class_name: string; config: Record<string, unknown> }[] {
  const layers: { class_name: string; config: Record<string, unknown> }[] = [];
  let activations = 0;
  const add = (class_name: string, config: Record<string, unknown>): void => {
    layers.push({ class_name, config: { trainable: true, ...config } });
  };
  const activation = (kind: string): void =>
    add('Activation', { name: `activation_${++activations}`, activation: kind });
  add('Embedding', {
    name: 'embedding_1',
    dtype: 'float32',
    batch_input_shape: [null, shape.windowLength],
    input_length: shape.windowLength,
    input_dim: shape.inputClasses,
    output_dim: shape.embedding,
    mask_zero: false,
  });
  for (let layer = 0; layer < shape.layers; layer++) {
    const lstm = {
      name: `lstm_${layer + 1}`,
      trainable: true,
      units: shape.units,
      activation: 'tanh',
      recurrent_activation: shape.gate === 'sigmoid' ? 'sigmoid' : 'hard_sigmoid',
      use_bias: true,
      unit_forget_bias: true,
      return_sequences: layer < shape.layers - 1,
      return_state: false,
      go_backwards: false,
      stateful: false,
      unroll: false,
      dropout: 0,
      recurrent_dropout: 0,
      implementation: 1,
    };
    if (shape.bidirectional) {
      add('Bidirectional', {
        name: lstmName(shape, layer),
        merge_mode: 'concat',
        layer: { class_name: 'LSTM', config: lstm },
      });
    } else add('LSTM', lstm);
    if (layer < shape.layers - 1) activation('relu');
  }
  add('Dense', { name: 'dense_1', units: shape.dense, activation: 'linear', use_bias: true });
  activation('relu');
  add('Dropout', { name: 'dropout_1', rate: dropout, noise_shape: null, seed: null });
  add('Dense', {
    name: 'dense_2',
    units: shape.outputClasses,
    activation: 'linear',
    use_bias: true,
  });
  activation('softmax');
  return layers;
}

function describe(lstm: Lstm): unknown {
  return {
    class_name: 'Sequential',
    config: { name: 'sequential_1', layers: kerasLayers(lstm.shape, lstm.options.dropout) },
    keras_version: kerasVersion,
    backend: 'tensorflow',
  };
}
