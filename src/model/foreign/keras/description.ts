import type { Lstm } from '../../lstm/lstm.ts';
import type { LstmShape } from '../../lstm/shape.ts';
import { lstmName } from './names.ts';
import { markKey, type VocabularyMark } from './origin.ts';

export const kerasVersion = '2.2.4';

/** @returns what `model.to_json()` would give, and the vocabulary's mark where there is one */
export function describeNetwork(lstm: Lstm, vocabulary: VocabularyMark | undefined): unknown {
  return {
    class_name: 'Sequential',
    config: { name: 'sequential_1', layers: kerasLayers(lstm.shape, lstm.options.dropout) },
    keras_version: kerasVersion,
    backend: 'tensorflow',
    ...(vocabulary === undefined
      ? {}
      : {
          [markKey]: {
            vocabulary: { kind: vocabulary.kind, fingerprint: vocabulary.fingerprint },
          },
        }),
  };
}

export function layerNames(shape: LstmShape): string[] {
  return kerasLayers(shape, 0).map(({ config }) => String(config.name));
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
