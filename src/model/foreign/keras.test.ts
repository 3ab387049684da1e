import { existsSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { plainLogits } from '../../../test/plain-lstm.ts';
import { silentLogger } from '../../base/log.ts';
import { Random } from '../../base/random.ts';
import { Lstm } from '../lstm/lstm.ts';
import type { LstmShape } from '../lstm/shape.ts';
import { NgramTable } from '../ngram/table.ts';
import { loadKeras, saveKeras } from './keras.ts';

const options = { device: 'cpu', workers: 1, seed: 3 };
const shape: LstmShape = {
  windowLength: 5,
  inputClasses: 7,
  outputClasses: 6,
  embedding: 3,
  units: 4,
  layers: 3,
  bidirectional: false,
  dense: 5,
  gate: 'sigmoid',
};

async function written(kind: Partial<LstmShape> = {}): Promise<{
  readonly lstm: Lstm;
  readonly model: string;
  readonly weights: string;
}> {
  const lstm = Lstm.create({ ...shape, ...kind }, undefined, { ...options, dropout: 0.25 });
  const random = new Random(8);
  for (let i = 0; i < lstm.parameters.length; i++) lstm.parameters[i] = random.normal();
  const folder = await mkdtemp(join(tmpdir(), 'wayward-keras-test-'));
  const model = join(folder, 'model.json');
  const weights = join(folder, 'weights.h5');
  await saveKeras(lstm, model, weights);
  return { lstm, model, weights };
}

describe('Keras files', () => {
  test.each([{}, { bidirectional: true }, { gate: 'hardSigmoid' as const, layers: 1 }])(
    'come back as they were written: %o',
    async (kind) => {
      const { lstm, model, weights } = await written(kind);
      const read = await loadKeras(model, weights, options);
      expect(read.shape).toEqual(lstm.shape);
      expect(read.options.dropout).toBe(0.25);
      expect(read.parameters).toEqual(lstm.parameters);
    },
  );

  test('with other sizes than the model says are refused, naming the layer', async () => {
    const { model } = await written();
    const { weights } = await written({ units: 3 });
    await expect(loadKeras(model, weights, options)).rejects.toMatchObject({
      code: 'keras-weights-do-not-fit',
      place: 'lstm_1',
    });
    const other = await written({ bidirectional: true });
    await expect(loadKeras(model, other.weights, options)).rejects.toMatchObject({
      code: 'keras-weights-do-not-fit',
    });
  });

  test('that are cut off or foreign are refused', async () => {
    const { model, weights } = await written();
    const whole = await readFile(weights);
    for (const length of [0, 3, 100, whole.length >> 1, whole.length - 1]) {
      await writeFile(weights, whole.subarray(0, length));
      await expect(loadKeras(model, weights, options), `${length} bytes`).rejects.toMatchObject({
        code: 'hdf5-damaged',
      });
    }
    await writeFile(weights, 'PK, but no HDF5 at all');
    await expect(loadKeras(model, weights, options)).rejects.toMatchObject({
      code: 'hdf5-damaged',
    });
    await writeFile(model, '{"class_name": "Sequen');
    await expect(loadKeras(model, weights, options)).rejects.toMatchObject({
      code: 'keras-model-damaged',
    });
  });

  test('of another network are refused, naming what is not known', async () => {
    const { model, weights } = await written();
    const text = await readFile(model, 'utf8');
    for (const [from, to] of [
      ['"class_name":"Embedding"', '"class_name":"Conv1D"'],
      ['"activation":"relu"', '"activation":"elu"'],
      ['"recurrent_activation":"sigmoid"', '"recurrent_activation":"tanh"'],
      ['"mask_zero":false', '"mask_zero":true'],
    ] as const) {
      await writeFile(model, text.replace(from, to));
      await expect(loadKeras(model, weights, options), to).rejects.toMatchObject({
        code: 'keras-network-unknown',
      });
    }
  });

  test('cannot hold a network on top of an n-gram model', async () => {
    const windows = {
      length: 1,
      windowLength: 5,
      symbols: new Int32Array(5),
      targets: Int32Array.of(1),
      counts: Float64Array.of(1),
    };
    const lstm = Lstm.create(shape, NgramTable.fit(windows, 6), { ...options, dropout: 0 });
    await expect(saveKeras(lstm, '/nowhere/m', '/nowhere/w')).rejects.toMatchObject({
      code: 'keras-cannot-hold-prior',
    });
  });
});

const recorded = join(import.meta.dirname, '../../../../shared/data/acrobat/model');

describe.skipIf(!existsSync(recorded))('a model that Keras 2.2.4 wrote', () => {
  test('loads, and predicts what the plain network says', async () => {
    const lstm = await loadKeras(join(recorded, 'lstm.json'), join(recorded, 'lstm.h5'), options);
    expect(lstm.shape).toEqual({
      windowLength: 32,
      inputClasses: 1024,
      outputClasses: 1024,
      embedding: 32,
      units: 32,
      layers: 3,
      bidirectional: true,
      dense: 128,
      gate: 'hardSigmoid',
    });
    const random = new Random(4);
    const windows = {
      length: 9,
      windowLength: 32,
      symbols: Int32Array.from({ length: 9 * 32 }, () => random.below(1024)),
      targets: Int32Array.from({ length: 9 }, () => random.below(1024)),
      counts: new Float64Array(9).fill(1),
    };
    const context = { log: silentLogger, progress: () => {} };
    const predictions = await lstm.predict(windows, context);
    await lstm.dispose();
    const parameters = Float64Array.from(lstm.parameters);
    for (let i = 0; i < windows.length; i++) {
      const window = windows.symbols.subarray(i * 32, (i + 1) * 32);
      const logits = plainLogits(lstm.shape, parameters, window);
      const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
      expect(predictions.predicted[i]).toBe(logits.indexOf(Math.max(...logits)));
      expect(
        predictions.targetProbability[i]! * sum * Math.exp(-logits[windows.targets[i]!]!),
      ).toBeCloseTo(1, 3);
    }
  });
});
