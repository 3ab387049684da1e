import { gzipSync } from 'node:zlib';
import type { Lstm } from '../../lstm/lstm.ts';
import { directions, inputsOf, parameterLayout } from '../../lstm/shape.ts';
import { kerasVersion, layerNames } from './description.ts';
import { eachGateRow } from './gate-rows.ts';
import { openHdf5Library, vocabularyDataset } from './hdf5.ts';
import { lstmName } from './names.ts';

/**
 * Writes what `model.save_weights()` would, HDF5 with one group a layer.
 *
 * @param vocabulary  goes into a dataset beside the groups, gzip-compressed
 */
export async function writeWeights(
  lstm: Lstm,
  path: string,
  vocabulary: string | undefined,
): Promise<void> {
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
    if (vocabulary !== undefined) {
      const data = new Uint8Array(gzipSync(vocabulary));
      file.create_dataset({ name: vocabularyDataset, data, shape: [data.length], dtype: '<B' });
    }
    file.flush();
  } finally {
    file.close();
  }
}
