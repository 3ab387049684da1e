import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { UserError } from '../../../base/errors.ts';
import { silentLogger } from '../../../base/log.ts';
import { Random } from '../../../base/random.ts';
import { Lstm } from '../../lstm/lstm.ts';
import { gateName, type LstmShape, parameterLayout } from '../../lstm/shape.ts';
import { NgramTable } from '../../ngram/table.ts';
import { OnnxGraph } from '../../onnx/onnx.ts';
import { ProtobufWriter } from '../../onnx/protobuf.ts';
import { fieldsOf } from '../../onnx/protobuf-reader.ts';
import { exportOnnx, onnxGates } from './export.ts';
import { loadOnnx } from './import.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-onnx-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const engine = { device: 'cpu', workers: 1, seed: 1 };
const shape: LstmShape = {
  ...{ windowLength: 5, inputClasses: 7, outputClasses: 6, embedding: 3, units: 4, layers: 2 },
  ...{ bidirectional: false, dense: 5, gate: 'sigmoid' },
};

function network(kind: Partial<LstmShape> = {}): Lstm {
  const lstm = Lstm.create({ ...shape, ...kind }, undefined, { ...engine, dropout: 0 });
  const random = new Random(3);
  for (let i = 0; i < lstm.parameters.length; i++) lstm.parameters[i] = random.normal();
  return lstm;
}

function write(bytes: Uint8Array): string {
  const path = join(folder, 'model.onnx');
  writeFileSync(path, bytes);
  return path;
}

describe('an ONNX file of ours', () => {
  test.each([
    ['one direction', {}],
    ['both directions', { bidirectional: true }],
    ['hard sigmoid, three layers', { gate: 'hardSigmoid' as const, layers: 3 }],
  ])('comes back as it was written: %s', async (_, kind) => {
    const lstm = network(kind);
    const read = await loadOnnx(write(exportOnnx(lstm, {})), engine, 32);
    expect(read.network.shape).toEqual(lstm.shape);
    expect(read.network.parameters).toEqual(lstm.parameters);
    expect(read.vocabulary).toBeUndefined();
  });

  test('that stands on an n-gram is refused, naming what it takes', async () => {
    const windows = {
      ...{ length: 1, windowLength: 5, symbols: new Int32Array(5) },
      ...{ targets: Int32Array.of(1), counts: Float64Array.of(1) },
    };
    const prior = NgramTable.fit(windows, 6);
    const lstm = Lstm.create(shape, prior, { ...engine, dropout: 0 });
    await expect(loadOnnx(write(exportOnnx(lstm, {})), engine, 32)).rejects.toMatchObject({
      code: 'onnx-network-unknown',
      message: expect.stringContaining('it takes windows, prior'),
    });
  });

  /** A tensor of one number, which lies in another file. */
  const elsewhere = new ProtobufWriter()
    .integer(1, 1)
    .integer(2, 1)
    .text(8, 'secret')
    .message(13, new ProtobufWriter().text(1, 'location').text(2, '../../etc/passwd'))
    .integer(14, 1);
  const attribute = new ProtobufWriter().text(1, 'value').message(5, elsewhere).integer(20, 4);
  const sparse = new ProtobufWriter().message(1, elsewhere).integer(3, 1);
  const node = (attribute: ProtobufWriter): ProtobufWriter =>
    new ProtobufWriter().text(2, 'aside').text(4, 'Constant').message(5, attribute);
  const inGraph = (field: number, message: ProtobufWriter): ProtobufWriter =>
    new ProtobufWriter().message(field, message);

  test.each([
    ['an initializer', inGraph(5, elsewhere), [], 'the tensor secret lies in another file'],
    ['a constant', inGraph(1, node(attribute)), [], 'the tensor secret lies in another file'],
    ['a sparse tensor', inGraph(15, sparse), [], 'sparse tensors'],
    [
      'a sparse constant',
      inGraph(1, node(new ProtobufWriter().text(1, 'sparse_value').message(22, sparse))),
      ...[[], 'sparse tensors'],
    ],
    [
      'a list',
      inGraph(1, node(new ProtobufWriter().text(1, 'x').message(10, elsewhere))),
      ...[[], 'lists of tensors'],
    ],
    [
      'a graph in a node',
      inGraph(1, node(new ProtobufWriter().text(1, 'body').message(6, inGraph(5, elsewhere)))),
      ...[[], 'graphs in nodes'],
    ],
    ['a second graph', undefined, [7, inGraph(5, elsewhere)], 'it has two graphs'],
    ['a function', undefined, [25, inGraph(7, node(attribute))], 'functions of its own'],
    ['training', undefined, [20, inGraph(1, inGraph(5, elsewhere))], 'steps of training'],
  ] as const)(
    'that names another file is refused before the runtime gets it: in %s',
    async (_, graph, [field, message], why) => {
      const model = new ProtobufWriter();
      for (const { number, value, bytes } of fieldsOf(exportOnnx(network(), {}))) {
        if (bytes.length === 0) model.integer(number, Number(value));
        else if (number !== 7 || graph === undefined) model.bytes(number, bytes);
        else model.bytes(number, Buffer.concat([bytes, graph.finish()]));
      }
      if (field !== undefined && message !== undefined) model.message(field, message);
      await expect(loadOnnx(write(model.finish()), engine, 32)).rejects.toMatchObject({
        code: 'onnx-damaged',
        message: expect.stringContaining(why),
      });
    },
  );

  test('with bytes changed is read or refused, whatever they were', async () => {
    const whole = exportOnnx(network(), {});
    const random = new Random(9);
    for (let run = 0; run < 60; run++) {
      const bytes = Uint8Array.from(whole);
      for (let i = 0; i < 4; i++) bytes[random.below(bytes.length)] = random.below(256);
      const cut = run % 3 === 0 ? random.below(bytes.length) : bytes.length;
      try {
        await loadOnnx(write(bytes.subarray(0, cut)), engine, 32);
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
        expect((error as UserError).code).toMatch(/^onnx-|^outputs-no-numbers/);
      }
    }
  });
});

const fixtures = join(import.meta.dirname, '../../../../test/fixtures/onnx-pytorch');

describe('a network of PyTorch', () => {
  const { windows, probabilities } = JSON.parse(
    readFileSync(join(fixtures, 'expected.json'), 'utf8'),
  ) as { windows: number[][]; probabilities: Record<string, number[][]> };

  test.each(['one-direction', 'logits'])('predicts what it did there: %s', async (name) => {
    const { network: lstm } = await loadOnnx(join(fixtures, `${name}.onnx`), engine, 5);
    expect(lstm.shape).toMatchObject({ windowLength: 5, inputClasses: 7, units: 4, dense: 5 });
    for (let target = 0; target < 6; target++) {
      const predictions = await lstm.predict(
        {
          ...{ length: windows.length, windowLength: 5, symbols: Int32Array.from(windows.flat()) },
          targets: new Int32Array(windows.length).fill(target),
          counts: new Float64Array(windows.length).fill(1),
        },
        { log: silentLogger, progress: () => {} },
      );
      probabilities[name]?.forEach((row, i) => {
        expect(predictions.targetProbability[i]).toBeCloseTo(row[target] ?? Number.NaN, 5);
      });
    }
    await lstm.dispose();
  });

  test('that does something else with its layers is refused', async () => {
    const path = join(fixtures, 'both-directions.onnx');
    await expect(loadOnnx(path, engine, 5)).rejects.toMatchObject({
      code: 'onnx-network-unknown',
      message: expect.stringContaining('computes something else'),
    });
  });
});

/**
 * The form in which tf2onnx writes Keras' layers: the classes come as they are and are cast, dense
 * layers are MatMul and Add.
 *
 * @see https://github.com/onnx/tensorflow-onnx, tf2onnx/rewriter/lstm_tf2_rewriter.py
 */
function asTf2onnx(lstm: Lstm, operator = 'Relu'): Uint8Array {
  const graph = new OnnxGraph('tf2onnx');
  const layout = parameterLayout(lstm.shape);
  const { units, embedding } = lstm.shape;
  const values = (name: string): { data: Float32Array; dimensions: readonly number[] } => {
    const { offset, length, dimensions } = layout.find(name);
    return { data: lstm.parameters.slice(offset, offset + length), dimensions };
  };
  const constant = (name: string): string => {
    const { data, dimensions } = values(name);
    return graph.constant(name, data, dimensions);
  };
  graph.input('embedding_input', 'float', ['unk', 5]);
  const cast = graph.node('Cast', ['embedding_input'], { to: 6 });
  const embedded = graph.node('Gather', [constant('embedding'), cast]);
  const byStep = graph.node('Transpose', [embedded], { perm: [1, 0, 2] });
  const input = new Float32Array(4 * units * embedding);
  const state = new Float32Array(4 * units * units);
  const bias = new Float32Array(8 * units);
  onnxGates.forEach((gate, g) => {
    const name = gateName(0, 'forward', gate);
    const kernel = values(`${name}.kernel`).data;
    bias.set(values(`${name}.bias`).data, g * units);
    for (let unit = 0; unit < units; unit++) {
      const row = g * units + unit;
      for (let i = 0; i < embedding; i++)
        input[row * embedding + i] = kernel[i * units + unit] ?? 0;
      for (let i = 0; i < units; i++) {
        state[row * units + i] = kernel[(embedding + i) * units + unit] ?? 0;
      }
    }
  });
  graph.constant('W', input, [1, 4 * units, embedding]);
  graph.constant('R', state, [1, 4 * units, units]);
  graph.constant('B', bias, [1, 8 * units]);
  const [, last = ''] = graph.nodes('LSTM', [byStep, 'W', 'R', 'B'], { hidden_size: units }, 2);
  graph.constant('axes', BigInt64Array.of(0n), [1]);
  let value = graph.node('Squeeze', [last, 'axes']);
  for (const [name, activation] of [
    ['hidden', operator],
    ['output', 'Softmax'],
  ] as const) {
    const product = graph.node('MatMul', [value, constant(`${name}.kernel`)]);
    const sum = graph.node('Add', [product, constant(`${name}.bias`)]);
    value = graph.node(activation, [sum], {}, name === 'output' ? 'dense_1' : undefined);
  }
  graph.output('dense_1', 'float', ['unk', lstm.shape.outputClasses]);
  return graph.encode();
}

describe('a network in the form of tf2onnx', () => {
  test('is read', async () => {
    const lstm = network({ layers: 1 });
    const { network: read } = await loadOnnx(write(asTf2onnx(lstm)), engine, 32);
    expect(read.parameters).toEqual(lstm.parameters);
  });

  test('is refused by the first node that is not known', async () => {
    const bytes = asTf2onnx(network({ layers: 1 }), 'Elu');
    await expect(loadOnnx(write(bytes), engine, 32)).rejects.toMatchObject({
      code: 'onnx-network-unknown',
      message: expect.stringMatching(/the node \S+ \(Elu\) is not known here/),
    });
  });

  test('with weights that are no numbers is refused', async () => {
    const lstm = network({ layers: 1 });
    lstm.parameters[2] = Number.NaN;
    await expect(loadOnnx(write(asTf2onnx(lstm)), engine, 32)).rejects.toMatchObject({
      code: 'onnx-network-unknown',
      place: 'embedding',
    });
  });
});
