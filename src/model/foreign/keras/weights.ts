import { gunzipSync } from 'node:zlib';
import type { Dataset, File, Group } from 'h5wasm';
import { messageOf, UserError } from '../../../base/errors.ts';
import { readWholeFile } from '../../../base/files/read.ts';
import type { Lstm } from '../../lstm/lstm.ts';
import { directions, inputsOf, parameterLayout } from '../../lstm/shape.ts';
import { eachGateRow } from './gate-rows.ts';
import { hdf5Magic, hdf5Reason, readHdf5, vocabularyDataset } from './hdf5.ts';
import type { KerasNetwork } from './network.ts';

interface Weight {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A weights file of `model.save_weights()`, or of `model.save()`, which keeps the same groups under `model_weights`. */
export interface KerasWeights {
  readonly path: string;
  /** By layer, in the order of the names that were asked for. */
  readonly layers: readonly (readonly Weight[])[];
  /** What `saveKeras` put beside the weights: `Vocabulary.serialized`. */
  readonly vocabulary: Uint8Array | undefined;
}

/** Of all weights: networks of a hundred million of them. The library's own memory ends at four times as much. */
const mostWeightBytes = 2 ** 29;
/** No byte of a file becomes more when it is inflated, and what was never written is no weight. */
const mostInflated = 1032;
/** A layer in both directions has six. */
const mostWeightsInLayer = 16;
/** Of the vocabulary: a corpus of a million blocks has 40 MB. */
const mostVocabularyBytes = 2 ** 28;

/**
 * @param names  of the layers that have weights
 * @throws UserError `not-readable`, `hdf5-damaged`, `keras-weights-do-not-fit`,
 *   `keras-weights-unknown`
 */
export async function readWeights(path: string, names: readonly string[]): Promise<KerasWeights> {
  return parseWeights(await readWholeFile(path), path, names);
}

/**
 * @param path  for messages only
 * @throws UserError `hdf5-damaged`, `keras-weights-do-not-fit`, `keras-weights-unknown`
 */
export async function parseWeights(
  bytes: Buffer,
  path: string,
  names: readonly string[],
): Promise<KerasWeights> {
  if (bytes.length < 8 || bytes.readUInt32LE(0) !== hdf5Magic) {
    throw new UserError('hdf5-damaged', 'is no HDF5 file', { category: 'input', path });
  }
  const room = { bytes: Math.min(mostWeightBytes, mostInflated * bytes.length) };
  let read: Content;
  try {
    read = await readHdf5(bytes, (file, { Group, Dataset }) => {
      const root = rootOf(file, Group);
      const layers = names.map((name) => {
        const group = root.get(name);
        return group instanceof Group ? weightsOf(group, Dataset, room, path) : [];
      });
      const kept = file.keys().includes(vocabularyDataset)
        ? file.get(vocabularyDataset)
        : undefined;
      const vocabulary = kept instanceof Dataset ? vocabularyOf(kept, room) : undefined;
      return { found: root.keys(), layers, vocabulary };
    });
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    const why = hdf5Reason(messageOf(cause));
    throw new UserError('hdf5-damaged', `is cut off or damaged: ${why}`, {
      category: 'input',
      path,
      cause,
    });
  }
  const { found, layers, vocabulary } = read;
  const missing = names.find((_, index) => layers[index]?.length === 0);
  if (missing !== undefined) {
    throw new UserError(
      'keras-weights-do-not-fit',
      `has no weights for the layer ${missing}; its layers are ${found.join(', ') || 'none'}`,
      { category: 'input', path, place: missing },
    );
  }
  return { path, layers, vocabulary };
}

interface Content extends Omit<KerasWeights, 'path'> {
  /** Names of all layers. */
  readonly found: readonly string[];
}

function rootOf(file: File, groups: typeof Group): Group {
  if (!file.keys().includes('model_weights')) return file;
  const root = file.get('model_weights');
  if (!(root instanceof groups)) throw new Error('model_weights is no group');
  return root;
}

/** How much may still be read. */
interface Room {
  bytes: number;
}

/** @throws Error where a file of a few bytes says that it holds more than there is room for */
function contentOf(dataset: Dataset, room: Room): unknown {
  const { size, shape } = dataset.metadata;
  room.bytes -= (shape ?? []).reduce((product, length) => product * length, size);
  if (!(room.bytes >= 0)) throw new Error('it says that it holds more than it has bytes for');
  return dataset.value;
}

/** @throws UserError `keras-weights-unknown`, Error for what is damaged */
function weightsOf(group: Group, datasets: typeof Dataset, room: Room, path: string): Weight[] {
  const named = group.attrs.weight_names?.value;
  const paths: readonly unknown[] = Array.isArray(named) ? named : [];
  if (paths.length > mostWeightsInLayer) throw new Error(`a layer has ${paths.length} weights`);
  return paths.map((weightPath) => {
    const place = String(weightPath);
    const dataset = group.get(place);
    if (!(dataset instanceof datasets)) throw new Error(`${place} is missing`);
    const { type, size } = dataset.metadata;
    // H5T_FLOAT. Half precision and integers would need a scale that nobody wrote down.
    if (type !== 1 || (size !== 4 && size !== 8)) {
      const kind = type === 1 ? `float${size * 8}` : 'no floating-point numbers';
      throw new UserError(
        'keras-weights-unknown',
        `${place} is ${kind}: save the weights as float32`,
        { category: 'input', path, place },
      );
    }
    const values = contentOf(dataset, room);
    if (!(values instanceof Float32Array || values instanceof Float64Array)) {
      throw new Error(`${place} cannot be read`);
    }
    return { shape: dataset.shape ?? [], data: Float32Array.from(values) };
  });
}

function vocabularyOf(dataset: Dataset, room: Room): Uint8Array {
  const value = contentOf(dataset, room);
  if (!(value instanceof Uint8Array)) throw new Error(`${vocabularyDataset} holds no bytes`);
  return gunzipSync(value, { maxOutputLength: mostVocabularyBytes });
}

/**
 * Copies weights into a network of the shape that the model file tells.
 *
 * @throws UserError `keras-weights-do-not-fit`, `keras-weights-no-numbers`
 */
export function fillParameters(
  lstm: Lstm,
  network: KerasNetwork,
  { layers, path }: KerasWeights,
): void {
  const { shape, parameters } = lstm;
  const layout = parameterLayout(shape);
  const take = (layer: number, index: number, ...expected: number[]): Float32Array => {
    const weight = layers[layer]?.[index];
    const name = network.weighted[layer] ?? '';
    if (weight === undefined || weight.shape.join() !== expected.join()) {
      const has = weight === undefined ? 'nothing' : `[${weight.shape.join(', ')}]`;
      throw new UserError(
        'keras-weights-do-not-fit',
        `weight ${index} of ${name} is ${has} where the model takes [${expected.join(', ')}]`,
        { category: 'input', path, place: name },
      );
    }
    const odd = weight.data.findIndex((value) => !Number.isFinite(value));
    if (odd >= 0) {
      throw new UserError(
        'keras-weights-no-numbers',
        `weight ${index} of ${name} holds ${weight.data[odd]} at ${odd}: a network of such weights predicts nothing`,
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
