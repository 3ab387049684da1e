import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { plainLogits } from '../../../../test/plain-lstm.ts';
import { silentLogger } from '../../../base/log.ts';
import { Random } from '../../../base/random.ts';
import { SymbolTable } from '../../../sequences/symbol-table.ts';
import { Vocabulary } from '../../../sequences/vocabulary.ts';
import { WindowCounter } from '../../../sequences/window-counter.ts';
import { Lstm } from '../../lstm/lstm.ts';
import { type LstmShape, parameterLayout } from '../../lstm/shape.ts';
import { NgramTable } from '../../ngram/table.ts';
import { type Hdf5File, readHdf5, writeHdf5 } from './hdf5.ts';
import { loadKeras, saveKeras } from './keras.ts';
import { weightedNames } from './names.ts';

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

interface Written {
  readonly lstm: Lstm;
  readonly model: string;
  readonly weights: string;
}

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function saved(lstm: Lstm, vocabulary?: Vocabulary): Promise<Written> {
  const folder = await mkdtemp(join(tmpdir(), 'wayward-keras-test-'));
  folders.push(folder);
  const model = join(folder, 'model.json');
  const weights = join(folder, 'weights.h5');
  await saveKeras(lstm, model, weights, vocabulary);
  return { lstm, model, weights };
}

async function written(kind: Partial<LstmShape> = {}): Promise<Written> {
  const lstm = Lstm.create({ ...shape, ...kind }, undefined, { ...options, dropout: 0.25 });
  const random = new Random(8);
  for (let i = 0; i < lstm.parameters.length; i++) lstm.parameters[i] = random.normal();
  return saved(lstm);
}

/** @param first  offset of the first block that the vocabulary knows */
async function writtenWithVocabulary(
  first = 0,
): Promise<Written & { readonly vocabulary: Vocabulary }> {
  const table = new SymbolTable();
  const module = table.internModule('a.so', '/lib/a.so');
  const { inputClasses, outputClasses, windowLength } = shape;
  for (let i = 0; i < inputClasses - 1; i++) table.intern(module, first + i);
  const counter = new WindowCounter(windowLength);
  for (let target = 0; target < outputClasses - 1; target++) {
    counter.add(new Int32Array(windowLength), 0, target, target);
  }
  const counts = new Float64Array(table.length).fill(1);
  const vocabulary = Vocabulary.learn(table, counts, counter, { kind: 'learned' });
  const lstm = Lstm.create(shape, undefined, { ...options, dropout: 0 });
  return { ...(await saved(lstm, vocabulary)), vocabulary };
}

/** Puts whole numbers in place of a layer's weights. */
async function makeWholeNumbers(
  path: string,
  group: string,
  name: string,
  dimensions: number[],
): Promise<void> {
  const changed = await writeHdf5(
    (file, { Group }) => {
      const owner = groupOf(file, group, Group);
      owner.delete_attribute('weight_names');
      owner.create_attribute('weight_names', [`other/${name}`]);
      const length = dimensions.reduce((a, b) => a * b, 1);
      const data = new Int32Array(length).fill(1);
      owner.create_group('other').create_dataset({ name, data, shape: dimensions, dtype: '<i' });
    },
    await readFile(path),
  );
  await writeFile(path, changed);
}

function groupOf<T>(file: Hdf5File, name: string, kind: new (...words: never[]) => T): T {
  const found = file.get(name);
  if (!(found instanceof kind)) throw new Error(`there is no group ${name}`);
  return found;
}

describe('Keras files', () => {
  test.each([{}, { bidirectional: true }, { gate: 'hardSigmoid' as const, layers: 1 }])(
    'come back as they were written: %o',
    async (kind) => {
      const { lstm, model, weights } = await written(kind);
      const { network: read } = await loadKeras(model, weights, options);
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

  test('that end the library, or that it fails to close, do not spoil the next one', async () => {
    const { model, weights, lstm } = await written();
    const whole = await readFile(weights);
    const trap = Object.assign(new Error('Aborted'), { name: 'RuntimeError' });
    const ending = readHdf5(whole, () => {
      throw trap;
    });
    await expect(ending).rejects.toBe(trap);
    expect((await loadKeras(model, weights, options)).network.shape).toEqual(shape);
    // In one place, so that a library that knows files by their place takes each for the one before.
    const outcomes: string[] = [];
    for (let seed = 0; seed < 60; seed++) {
      const random = new Random(seed);
      const bytes = Buffer.from(whole);
      for (let n = 0; n < 20; n++) bytes[8 + random.below(2000)] ^= 1 << random.below(8);
      await writeFile(weights, bytes);
      outcomes.push(
        await loadKeras(model, weights, options).then(
          () => 'read',
          (error) => error.code,
        ),
      );
      await writeFile(weights, whole);
      const { network } = await loadKeras(model, weights, options);
      expect(network.parameters, `after seed ${seed}`).toEqual(lstm.parameters);
    }
    expect(outcomes.filter((outcome) => outcome === 'hdf5-damaged').length).toBeGreaterThan(30);
  });

  test('do not lead to other files, nor round in circles', async () => {
    const { model, weights, lstm } = await written();
    const other = await written();
    const links: readonly ((file: Hdf5File, layer: string) => void)[] = [
      (file, layer) => file.create_external_link(other.weights, `/${layer}`, layer),
      (file, layer) => file.create_external_link('weights.h5', `/${layer}`, layer),
      (file, layer) => file.create_soft_link(`/${layer}`, layer),
      (file, layer) => {
        file.create_soft_link(`/${layer}-around`, layer);
        file.create_soft_link(`/${layer}`, `${layer}-around`);
      },
    ];
    for (const link of links) {
      const linked = await writeHdf5((file) => {
        for (const layer of weightedNames(lstm.shape)) link(file, layer);
      });
      await writeFile(weights, linked);
      await expect(loadKeras(model, weights, options), String(link)).rejects.toMatchObject({
        category: 'input',
        path: weights,
      });
    }
  });

  test('of a few bytes that say they hold gigabytes are refused before any is read', async () => {
    const { model, weights } = await written();
    const [maxshape, chunks] = [[null], [1024]];
    const long = await writeHdf5((file, { Dataset }) => {
      const group = file.create_group('embedding_1');
      group.create_dataset({ name: 'w', data: new Float32Array(4), maxshape, chunks });
      const made = group.get('w');
      if (made instanceof Dataset) made.resize([100_000_000]);
      group.create_attribute('weight_names', ['w']);
    });
    await writeFile(weights, long);
    await expect(loadKeras(model, weights, options)).rejects.toThrow('more than it has bytes for');
    const many = await writeHdf5((file) => {
      const group = file.create_group('embedding_1');
      group.create_dataset({ name: 'w', data: new Float32Array(4) });
      group.create_attribute('weight_names', Array<string>(1000).fill('w'));
    });
    await writeFile(weights, many);
    await expect(loadKeras(model, weights, options)).rejects.toThrow('a layer has 1000 weights');
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

  test('of layers that the network here does not do are refused by name', async () => {
    const { model, weights } = await written();
    const text = await readFile(model, 'utf8');
    const last = text.lastIndexOf('"return_sequences":false');
    const sequences = `${text.slice(0, last)}"return_sequences":true${text.slice(last + 24)}`;
    for (const [changed, place] of [
      [sequences, 'lstm_3'],
      [text.replace('"return_sequences":true', '"return_sequences":false'), 'lstm_1'],
      [text.replace('"rate":0.25', '"rate":1.5'), 'dropout_1'],
      [text.replace('"rate":0.25', '"rate":"half"'), 'dropout_1'],
      [text.replace('"units":4', '"units":4.5'), 'lstm_1'],
      [text.replace('"units":5', '"units":0'), 'dense_1'],
      [text.replace('"input_dim":7', '"input_dim":1000000000'), 'embedding_1'],
      [text.replaceAll('"units":4', '"units":1000000'), 'layers'],
      [text.replace('[null,5]', '[null,1e9]'), 'embedding_1'],
      [text.replace('"stateful":false', '"stateful":true'), 'lstm_1'],
      [text.replace('"recurrent_dropout":0', '"recurrent_dropout":0.5'), 'lstm_1'],
    ] as const) {
      expect(changed).not.toBe(text);
      await writeFile(model, changed);
      await expect(loadKeras(model, weights, options), place).rejects.toMatchObject({
        code: 'keras-network-unknown',
        place,
      });
    }
  });

  test('may begin with a byte order mark', async () => {
    const { lstm, model, weights } = await written();
    await writeFile(model, `\ufeff${await readFile(model, 'utf8')}`);
    const { network } = await loadKeras(model, weights, options);
    expect(network.shape).toEqual(lstm.shape);
  });

  test('with weights that are no numbers are refused, naming the layer', async () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const lstm = Lstm.create(shape, undefined, { ...options, dropout: 0 });
      lstm.parameters[parameterLayout(shape).find('hidden.kernel').offset + 2] = value;
      const { model, weights } = await saved(lstm);
      await expect(loadKeras(model, weights, options)).rejects.toMatchObject({
        code: 'keras-weights-no-numbers',
        place: 'dense_1',
      });
    }
  });

  test('with weights of another type are refused by name', async () => {
    const { model, weights } = await written();
    const half = join(import.meta.dirname, '../../../../test/fixtures/keras-float16/weights.h5');
    await expect(loadKeras(model, half, options)).rejects.toMatchObject({
      code: 'keras-weights-unknown',
      message: expect.stringContaining('float16'),
    });
    await makeWholeNumbers(weights, 'embedding_1', 'embeddings:0', [7, 3]);
    await expect(loadKeras(model, weights, options)).rejects.toMatchObject({
      code: 'keras-weights-unknown',
      message: expect.stringContaining('no floating-point numbers'),
    });
  });

  test('say nothing by themselves on the screen', async () => {
    const { model, weights } = await written();
    const whole = await readFile(weights);
    const said = spawnSync(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `const { loadKeras } = await import(${JSON.stringify(join(import.meta.dirname, 'keras.ts'))});
         const { writeFileSync } = await import('node:fs');
         const whole = Buffer.from(${JSON.stringify(whole.toString('base64'))}, 'base64');
         for (let at = 8; at < whole.length; at += 611) {
           const bytes = Buffer.from(whole);
           bytes[at] ^= 0xff;
           writeFileSync(${JSON.stringify(weights)}, bytes);
           await loadKeras(${JSON.stringify(model)}, ${JSON.stringify(weights)}, { device: 'cpu', workers: 1, seed: 1 }).catch((error) => {
             if (error.name !== 'UserError') throw error;
           });
         }`,
      ],
      { encoding: 'utf8' },
    );
    expect(said).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  test('bring the vocabulary that the network was trained with', async () => {
    const { lstm, vocabulary, model, weights } = await writtenWithVocabulary();
    const read = await loadKeras(model, weights, options);
    expect(read.network.parameters).toEqual(lstm.parameters);
    expect(read.vocabulary?.fingerprint).toBe(vocabulary.fingerprint);
    expect(read.origin).toEqual({
      kind: 'wayward',
      vocabulary: { kind: 'learned', fingerprint: vocabulary.fingerprint },
    });
    // Weights alone, for a network that flags describe.
    const alone = await loadKeras(lstm.shape, weights, options);
    expect(alone.vocabulary?.fingerprint).toBe(vocabulary.fingerprint);
  });

  test('of two runs are not taken for one', async () => {
    const one = await writtenWithVocabulary();
    const other = await writtenWithVocabulary(100);
    await expect(loadKeras(one.model, other.weights, options)).rejects.toMatchObject({
      code: 'vocabulary-of-another-run',
      path: other.weights,
    });
  });

  test('tell who wrote them', async () => {
    const { model, weights } = await written();
    expect((await loadKeras(model, weights, options)).origin).toEqual({ kind: 'unknown' });
    const text = await readFile(model, 'utf8');
    await writeFile(
      model,
      text.replace('"mask_zero"', '"embeddings_initializer":null,"mask_zero"'),
    );
    expect((await loadKeras(model, weights, options)).origin).toEqual({ kind: 'keras' });
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
    await expect(saveKeras(lstm, '/nowhere/m', '/nowhere/w', undefined)).rejects.toMatchObject({
      code: 'keras-cannot-hold-prior',
    });
  });
});

const recorded = join(import.meta.dirname, '../../../../../shared/data/acrobat/model');

describe.skipIf(!existsSync(recorded))('a model that Keras 2.2.4 wrote', () => {
  test('loads, and predicts what the plain network says', async () => {
    const { network: lstm } = await loadKeras(
      join(recorded, 'lstm.json'),
      join(recorded, 'lstm.h5'),
      options,
    );
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
