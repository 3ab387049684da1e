import { gzipSync } from 'node:zlib';
import type { Group as Hdf5Group } from 'h5wasm';
import type { Lstm } from '../../lstm/lstm.ts';
import { directions, inputsOf, parameterLayout } from '../../lstm/shape.ts';
import { kerasVersion, layerNames } from './description.ts';
import { eachGateRow } from './gate-rows.ts';
import { type Hdf5File, vocabularyDataset, writeHdf5 } from './hdf5.ts';
import { lstmName } from './names.ts';

/** A weight of a layer: name, values, dimensions. */
type NamedWeight = readonly [name: string, data: Float32Array, dimensions: number[]];

/**
 * What `model.save_weights()` writes: HDF5 with one group a layer.
 *
 * @param vocabulary  goes into a dataset beside the groups, gzip-compressed
 * @returns the bytes of the file
 */
export async function packWeights(lstm: Lstm, vocabulary: string | undefined): Promise<Uint8Array> {
  return writeHdf5((file, library) => {
    const names = layerNames(lstm.shape);
    const weighted = weightsOf(lstm);
    file.create_attribute('layer_names', names);
    file.create_attribute('backend', 'tensorflow');
    file.create_attribute('keras_version', kerasVersion);
    for (const [layer, weights] of weighted) writeLayer(library, file, layer, weights);
    for (const name of names) if (!weighted.has(name)) writeLayer(library, file, name, []);
    if (vocabulary !== undefined) {
      const data = new Uint8Array(gzipSync(vocabulary));
      file.create_dataset({ name: vocabularyDataset, data, shape: [data.length], dtype: '<B' });
    }
  });
}

function writeLayer(
  { Group }: { readonly Group: typeof Hdf5Group },
  file: Hdf5File,
  layer: string,
  weights: readonly NamedWeight[],
): void {
  const made = file.create_group(layer);
  const paths = weights.map(([name]) => `${layer}/${name}:0`);
  if (paths.length === 0) made.create_attribute('weight_names', new Float64Array(0), [0]);
  else made.create_attribute('weight_names', paths);
  for (const [name, data, shape] of weights) {
    let parent = made;
    const path = `${layer}/${name}:0`;
    const behind = path.lastIndexOf('/');
    const leaf = path.slice(behind + 1);
    for (const step of path.slice(0, behind).split('/')) {
      const known = parent.get(step);
      parent = known instanceof Group ? known : parent.create_group(step);
    }
    parent.create_dataset({ name: leaf, data, shape, dtype: '<f' });
  }
}

/** @returns the weights of each layer that has any, in the order of Keras */
function weightsOf(lstm: Lstm): ReadonlyMap<string, readonly NamedWeight[]> {
  const { shape } = lstm;
  const layout = parameterLayout(shape);
  const values = (name: string): Float32Array => {
    const { offset, length } = layout.find(name);
    return lstm.parameters.slice(offset, offset + length);
  };
  const dense = (ours: string): NamedWeight[] => {
    const { dimensions } = layout.find(`${ours}.kernel`);
    return [
      ['kernel', values(`${ours}.kernel`), [...dimensions]],
      ['bias', values(`${ours}.bias`), [dimensions[1]]],
    ];
  };
  const weights = new Map<string, readonly NamedWeight[]>();
  weights.set('embedding_1', [
    ['embeddings', values('embedding'), [shape.inputClasses, shape.embedding]],
  ]);
  for (let layer = 0; layer < shape.layers; layer++) {
    weights.set(lstmName(shape, layer), recurrentWeights(lstm, layer, values));
  }
  weights.set('dense_1', dense('hidden'));
  weights.set('dense_2', dense('output'));
  return weights;
}

/** Of both directions, gates side by side. @param values  of a parameter of ours, by name */
function recurrentWeights(
  { shape, parameters }: Lstm,
  layer: number,
  values: (name: string) => Float32Array,
): NamedWeight[] {
  const { units } = shape;
  const inputs = inputsOf(shape, layer);
  return directions(shape).flatMap((direction): NamedWeight[] => {
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
    return [
      [`${prefix}kernel`, kernel, [inputs, 4 * units]],
      [`${prefix}recurrent_kernel`, recurrent, [units, 4 * units]],
      [`${prefix}bias`, bias, [4 * units]],
    ];
  });
}
