import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyCorpus } from '../../test/tiny-corpus.ts';
import { tinyLearn } from '../../test/tiny-learn.ts';
import { silentLogger } from '../base/log.ts';
import { loadKeras, saveKeras } from '../model/foreign/keras/keras.ts';
import { type LearnResult, learn } from './learn.ts';
import type { LearnRequest } from './training/options.ts';

const root = writeTinyCorpus(6, 2);
const out = mkdtempSync(join(tmpdir(), 'wayward-learn-'));
afterAll(() => {
  for (const folder of [root, out]) rmSync(folder, { recursive: true, force: true });
});
const quiet = { log: silentLogger, progress: () => {} };

const small: LearnRequest = { ...tinyLearn, root, out };

function run(changed: LearnRequest): Promise<LearnResult> {
  return learn({ ...small, ...changed }, quiet);
}

const asAncestor = {
  vocabulary: 'hash',
  maxInputClasses: 64,
  maxOutputClasses: 64,
  prior: 'none',
} as const;

describe('a model that is trained already', () => {
  test('is used with --skip-train: tested and evaluated, the same as in its own run', async () => {
    const first = await run({});
    const again = await run({
      useModel: first.folder.root,
      inputSets: first.folder.sets,
      skipTrain: true,
    });
    expect(again.training).toBeUndefined();
    expect(again.model).toBe(first.model);
    expect(again.test).toEqual(first.test);
    expect(again.evaluated).toBe(5);
    for (const name of readdirSync(first.evaluation)) {
      const bytes = (result: LearnResult): Buffer => readFileSync(join(result.evaluation, name));
      expect(bytes(again).equals(bytes(first))).toBe(true);
    }
  });

  test('is asked for where nothing is to be trained', async () => {
    const elsewhere = join(out, 'nothing');
    await expect(run({ skipTrain: true, out: elsewhere })).rejects.toMatchObject({
      code: 'no-model',
      category: 'arguments',
    });
    expect(existsSync(elsewhere)).toBe(false);
  });

  test('is refused with the vocabulary of another run', async () => {
    const [one, other] = [await run({ model: 'ngram' }), await run({ model: 'ngram', seed: 2 })];
    copyFileSync(`${other.folder.vocabulary}.json.gz`, `${one.folder.vocabulary}.json.gz`);
    await expect(run({ useModel: one.folder.root })).rejects.toMatchObject({
      code: 'vocabulary-of-another-run',
      category: 'input',
    });
  });

  test.each(['trained.json', 'model.json', 'transfers.gz', 'ngram.bin'])(
    'is refused with a sentence when %s is missing',
    async (name) => {
      const { folder } = await run({ model: 'ngram', skipTest: true, skipEval: true });
      rmSync(join(folder.model, name));
      await expect(run({ useModel: folder.root })).rejects.toMatchObject({
        name: 'UserError',
        path: join(folder.model, name),
      });
    },
  );
});

describe('a Keras model', () => {
  test('is written, used with its weights, and trained anew without them', async () => {
    const saveModel = join(out, 'model.json');
    const saveWeights = join(out, 'weights.h5');
    const first = await run({ ...asAncestor, saveModel, saveWeights });
    const keras = { ...asAncestor, inputSets: first.folder.sets };

    const used = await run({ ...keras, useModel: saveModel, useWeights: saveWeights });
    expect(used.training?.epochs).toEqual([]);
    expect(used.test?.loss).toBeCloseTo(first.test?.loss ?? Number.NaN, 6);

    // The same network, described by flags; training samples are not read.
    const described = await run({ ...keras, useWeights: saveWeights, skipTrain: true });
    expect(described.training).toBeUndefined();
    expect(described.test?.loss).toBeCloseTo(first.test?.loss ?? Number.NaN, 6);

    // Sizes come from the file, not from the flags.
    const network = { ...small.network, units: 9 };
    const trained = await run({ ...keras, network, useModel: saveModel, epochs: 2 });
    expect(trained.training?.epochs.length).toBe(2);
    const shape = JSON.parse(readFileSync(join(trained.folder.model, 'model.json'), 'utf8')).shape;
    expect(shape).toMatchObject({ units: 5, inputClasses: 64, outputClasses: 64, windowLength: 4 });
  });
});

describe('a Keras model with a learned vocabulary', () => {
  const saveModel = join(out, 'learned.json');
  const saveWeights = join(out, 'learned.h5');
  let first: LearnResult;
  beforeAll(async () => {
    first = await run({ prior: 'none', epochs: 8, saveModel, saveWeights });
  });

  test('predicts as it did, trained further on nothing or without any training trace', async () => {
    const accuracy = first.test?.accuracy ?? Number.NaN;
    expect(accuracy).toBeGreaterThan(0.05);
    for (const skipTrain of [false, true]) {
      const used = await run({
        ...{ useModel: saveModel, useWeights: saveWeights },
        ...{ inputSets: first.folder.sets, skipTrain },
      });
      expect(used.test?.accuracy).toBe(accuracy);
      expect(used.test?.loss).toBeCloseTo(first.test?.loss ?? Number.NaN, 6);
    }
  });

  test('is written at each checkpoint, and without an n-gram where nobody asked for one', async () => {
    const files = { saveModel: join(out, 'early.json'), saveWeights: join(out, 'early.h5') };
    const stop = new AbortController();
    let steps = 0;
    const stopped = learn(
      { ...small, ...files, prior: undefined, epochs: 50, checkpointSeconds: 1e-6 },
      {
        log: silentLogger,
        signal: stop.signal,
        progress: ({ step }) => {
          if (step.startsWith('training') && ++steps === 4) stop.abort();
        },
      },
    );
    await expect(stopped).rejects.toMatchObject({ code: 'interrupted' });
    const { network, vocabulary } = await loadKeras(files.saveModel, files.saveWeights, {
      ...{ device: 'cpu', workers: 1, seed: 1 },
    });
    expect(network.prior).toBeUndefined();
    expect(vocabulary?.kind).toBe('learned');
  });

  test('is refused where its vocabulary is missing, unless other classes are asked for', async () => {
    const model = join(out, 'bare.json');
    const stripped = join(out, 'stripped.h5');
    const engine = { device: 'cpu', workers: 1, seed: 1 };
    const { network } = await loadKeras(saveModel, saveWeights, engine);
    await saveKeras(network, model, stripped, undefined);
    const bare = readFileSync(model, 'utf8');
    const asked = { useModel: model, useWeights: stripped, inputSets: first.folder.sets };
    for (const content of [bare, readFileSync(saveModel, 'utf8')]) {
      writeFileSync(model, content);
      await expect(run(asked)).rejects.toMatchObject({
        code: 'vocabulary-missing',
        path: stripped,
      });
    }
    const anyway = await run({ ...asked, vocabulary: 'hash' });
    expect(anyway.evaluated).toBe(5);
    // Those need no vocabulary, and are what a file of ours says that they are.
    const files = { saveModel: join(out, 'h.json'), saveWeights: join(out, 'h.h5') };
    const hash = await run({ ...asAncestor, ...files });
    const ancestors = await run({
      ...{ useModel: files.saveModel, useWeights: files.saveWeights },
      inputSets: hash.folder.sets,
    });
    expect(ancestors.test?.accuracy).toBe(hash.test?.accuracy);
  });

  test('without weights gives its sizes to a network with a vocabulary of its own', async () => {
    const trained = await run({ useModel: saveModel, prior: 'none', inputSets: first.folder.sets });
    const shape = (result: LearnResult): unknown =>
      JSON.parse(readFileSync(join(result.folder.model, 'model.json'), 'utf8')).shape;
    expect(shape(trained)).toEqual(shape(first));
    expect(trained.test?.accuracy).toBeGreaterThan(0);
  });
});

describe('an ONNX model', () => {
  test('is used with the vocabulary that it brings, and asks for one without', async () => {
    const saveOnnx = join(out, 'network.onnx');
    const first = await run({ prior: 'none', epochs: 4, saveOnnx });
    const asked = { useModel: saveOnnx, inputSets: first.folder.sets };
    const used = await run(asked);
    expect(used.test?.accuracy).toBe(first.test?.accuracy);
    expect((await run({ ...asked, vocabulary: 'hash' })).evaluated).toBe(5);
    await expect(run({ ...asked, useWeights: 'w.h5' })).rejects.toMatchObject({
      code: 'weights-of-a-run',
    });
  });

  test.each([
    ['weights.bin', '\x89HDF\r\n', '--use-weights'],
    ['network.keras', 'PK\x03\x04', 'is an archive'],
    ['m.bin', '\x1f\x8b', 'gzip'],
    ['notes.txt', 'hello', 'neither the folder of a run'],
  ])('is told from %s', async (name, start, message) => {
    const path = join(out, name);
    writeFileSync(path, Buffer.from(start, 'latin1'));
    await expect(run({ useModel: path })).rejects.toMatchObject({
      code: 'model-unknown',
      message: expect.stringContaining(message),
    });
  });
});

describe('before anything is written', () => {
  test.each([
    [{ device: 'tpu' }, 'device-unknown', 'arguments'],
    [{ device: 'cuda:0,cuda:0' }, 'device-twice', 'arguments'],
    // No machine has a hundred.
    [{ device: 'cuda:98,cuda:99' }, 'device-unavailable', 'unavailable'],
    [{ filter: [] }, 'no-filter', 'arguments'],
    [{ mixing: 'network' }, 'mixing-of-windows', 'arguments'],
    [{ saveModel: 'model.json' }, 'keras-half', 'arguments'],
    [{ saveModel: 'm.json', saveWeights: 'w.h5', prior: 'ngram' }, 'keras-prior', 'arguments'],
  ] as const)('%o is refused as %s', async (changed, code, category) => {
    const elsewhere = join(out, 'nothing');
    await expect(run({ ...changed, out: elsewhere })).rejects.toMatchObject({
      name: 'UserError',
      code,
      category,
    });
    expect(existsSync(elsewhere)).toBe(false);
  });
});

test('every network of the ancestor trains: bidirectional, hashed, RMSprop with decay', async () => {
  const result = await run({
    ...asAncestor,
    network: { ...small.network, layers: 3, bidirectional: true },
    optimizer: {
      kind: 'rmsprop',
      learningRate: 0.01,
      decay: 0.001,
      schedule: 'constant',
      clipNorm: 0,
    },
    epochs: 3,
    weighting: { order: 'shuffled', power: 1, cap: 0 },
  });
  const [first, , last] = result.training?.epochs ?? [];
  expect(last?.loss).toBeLessThan(first?.loss ?? 0);
  expect(result.evaluated).toBe(5);
});
