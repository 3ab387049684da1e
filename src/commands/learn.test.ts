import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { writeTinyCorpus } from '../../test/tiny-corpus.ts';
import { tinyLearn } from '../../test/tiny-learn.ts';
import { silentLogger } from '../base/log.ts';
import { type LearnResult, learn } from './learn.ts';
import type { LearnOptions } from './training/options.ts';

const root = writeTinyCorpus(6, 2);
const out = mkdtempSync(join(tmpdir(), 'wayward-learn-'));
afterAll(() => {
  for (const folder of [root, out]) rmSync(folder, { recursive: true, force: true });
});
const quiet = { log: silentLogger, progress: () => {} };

const small: LearnOptions = { ...tinyLearn, root, out };

function run(changed: Partial<LearnOptions>): Promise<LearnResult> {
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

describe('before anything is written', () => {
  test.each([
    [{ device: 'tpu' }, 'device-unknown', 'arguments'],
    [{ device: 'cuda:0,cuda:0' }, 'device-twice', 'arguments'],
    // No machine has a hundred.
    [{ device: 'cuda:98,cuda:99' }, 'device-unavailable', 'unavailable'],
    [{ filter: [] }, 'no-filter', 'arguments'],
    [{ saveModel: 'model.json' }, 'keras-half', 'arguments'],
    [{ saveModel: 'm.json', saveWeights: 'w.h5' }, 'keras-prior', 'arguments'],
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
