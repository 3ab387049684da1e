import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLogger } from '../../../base/log.ts';
import { Random } from '../../../base/random.ts';
import type { WindowSet } from '../../../sequences/windows.ts';
import { loadRuntime } from '../../lstm/engine.ts';
import { Lstm } from '../../lstm/lstm.ts';
import type { LstmShape } from '../../lstm/shape.ts';
import { NgramReader, NgramTable } from '../../ngram/table.ts';
import { saveOnnx } from './export.ts';

const { InferenceSession, Tensor } = await loadRuntime();

const shape: LstmShape = {
  windowLength: 5,
  inputClasses: 9,
  outputClasses: 6,
  embedding: 3,
  units: 4,
  layers: 3,
  bidirectional: false,
  dense: 7,
  gate: 'sigmoid',
};

const random = new Random(5);
const windows: WindowSet = {
  length: 12,
  windowLength: 5,
  symbols: Int32Array.from({ length: 60 }, () => random.below(9)),
  targets: Int32Array.from({ length: 12 }, () => random.below(6)),
  counts: new Float64Array(12).fill(1),
};

// The runtime's own LSTM operator judges the unrolled graph, too.
test.each([
  ['one direction', {}, false],
  ['both directions', { bidirectional: true }, false],
  ['hard sigmoid, both directions', { gate: 'hardSigmoid' as const, bidirectional: true }, false],
  ['one layer on an n-gram model', { layers: 1 }, true],
])('an exported model predicts the same: %s', async (_, kind, withPrior) => {
  const prior = withPrior ? NgramTable.fit(windows, shape.outputClasses) : undefined;
  const lstm = Lstm.create({ ...shape, ...kind }, prior, {
    device: 'cpu',
    workers: 1,
    dropout: 0.5,
    seed: 2,
  });
  for (let i = 0; i < lstm.parameters.length; i++) lstm.parameters[i] = random.normal() * 0.7;
  const expected = await lstm.predict(windows, { log: silentLogger, progress: () => {} });
  await lstm.dispose();
  const path = join(await mkdtemp(join(tmpdir(), 'wayward-onnx-')), 'model.onnx');
  await saveOnnx(lstm, path, { 'wayward.vocabulary': '["öffnen"]' });

  const session = await InferenceSession.create(path);
  const symbols = BigInt64Array.from(windows.symbols, BigInt);
  const inputs: Record<string, InstanceType<typeof Tensor>> = {
    windows: new Tensor('int64', symbols, [12, 5]),
  };
  if (prior !== undefined) {
    const reader = new NgramReader(prior);
    const rows = new Float32Array(12 * 6);
    for (let i = 0; i < 12; i++) {
      reader.read(windows.symbols, (i + 1) * 5);
      reader.writeLogits(rows, i * 6);
    }
    inputs.prior = new Tensor('float32', rows, [12, 6]);
  }
  expect([...session.inputNames].sort()).toEqual(Object.keys(inputs).sort());
  const { probabilities } = await session.run(inputs);
  const data = probabilities!.data as Float32Array;
  for (let i = 0; i < windows.length; i++) {
    const row = data.subarray(i * 6, (i + 1) * 6);
    expect(row.indexOf(Math.max(...row))).toBe(expected.predicted[i]);
    expect(row[windows.targets[i]!]).toBeCloseTo(expected.targetProbability[i]!, 5);
  }
  expect((await readFile(path)).includes('["öffnen"]')).toBe(true);
});
