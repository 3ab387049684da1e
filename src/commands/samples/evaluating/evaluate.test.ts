import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { writeTinyCorpus } from '../../../../test/tiny-corpus.ts';
import { silentLogger } from '../../../base/log.ts';
import { CodeCache } from '../../../flow/code-cache.ts';
import { ImageStore } from '../../../image/image-store.ts';
import type { FirstLayer } from '../../../model/first-layer.ts';
import { Lstm } from '../../../model/lstm/lstm.ts';
import { defaultShape } from '../../../model/lstm/shape.ts';
import { Ngram } from '../../../model/ngram/ngram.ts';
import { PredictionCache } from '../../../model/prediction-cache.ts';
import { defaultFilter, filterTable } from '../../../sequences/filter.ts';
import { Vocabulary } from '../../../sequences/vocabulary.ts';
import { openTraces } from '../../../trace/open-trace.ts';
import { findSamples, type Sample } from '../../../trace/sample.ts';
import { windowsFor } from '../../training/train.ts';
import { countTrainingWindows } from '../../training/windows/count-windows.ts';
import { type EvaluateOptions, Evaluator, type Trained } from './evaluate.ts';
import { ImageNotes } from './image-notes.ts';

const root = writeTinyCorpus(3, 1);
afterAll(() => rmSync(root, { recursive: true, force: true }));
const quiet = { log: silentLogger, progress: () => {} };
const windowLength = 6;
const options: EvaluateOptions = {
  windowLength,
  filter: filterTable(defaultFilter),
  traces: { images: new ImageStore([]), codeCache: new CodeCache(), preprocessed: true },
  notes: new ImageNotes(false),
};

const countOptions = {
  ...options,
  binDirs: [],
  rawImages: false,
  preprocessed: true,
  threads: 1,
  memoryLimit: 2 ** 28,
  mostWindows: 2 ** 30,
  spillDirectory: join(root, 'windows'),
};

async function trainedOf(kind: 'ngram' | 'lstm', samples: readonly Sample[]): Promise<Trained> {
  const corpus = await countTrainingWindows(samples, countOptions, quiet);
  const vocabulary = Vocabulary.learn(corpus.table, corpus.symbolCounts, corpus.windows, {
    kind: 'learned',
  });
  const { inputClasses, outputClasses } = vocabulary;
  const sizes = { embedding: 4, units: 6, dense: 5, layers: 2 };
  const shape = { ...defaultShape, ...sizes, windowLength, inputClasses, outputClasses };
  const layer =
    kind === 'ngram'
      ? Ngram.fit(windowsFor(vocabulary, corpus), inputClasses, outputClasses)
      : Lstm.create(shape, undefined, { device: 'cpu', workers: 2, dropout: 0, seed: 4 });
  return { layer, vocabulary, profile: corpus.profile };
}

/** By the definition: the first windows of the trace, each on its own, in the trace's order. */
async function windowByWindow(
  sample: Sample,
  { layer, vocabulary }: Trained,
  most: number,
): Promise<{ predicted: number; confidence: number; actual: number; probability: number }[]> {
  const [{ source }] = await openTraces(sample, options.traces);
  const entries: number[] = [];
  await source.run((batch) => {
    entries.push(...batch.entries.subarray(0, batch.length));
  });
  const table = vocabulary.makeTable();
  const { blocks } = source;
  const symbols = entries.map((block) => {
    const { name, path } = blocks.modules[blocks.module[block]];
    return table.intern(table.internModule(name, path), blocks.offset[block]);
  });
  const inputs = vocabulary.inputClassesOf(table);
  const outputs = vocabulary.outputClassesOf(table);
  const records = [];
  for (let end = windowLength; end < entries.length; end++) {
    if (options.filter[blocks.kind[entries[end - 1]]] !== 1) continue;
    if (records.length === most) break;
    const actual = outputs[symbols[end]];
    const { predicted, confidence, targetProbability } = await (layer as FirstLayer).predict(
      {
        length: 1,
        windowLength,
        symbols: Int32Array.from(symbols.slice(end - windowLength, end), (s) => inputs[s]),
        targets: Int32Array.of(actual),
        counts: Float64Array.of(1),
      },
      quiet,
    );
    records.push({
      predicted: predicted[0],
      confidence: confidence[0],
      actual,
      probability: targetProbability[0],
    });
  }
  return records;
}

describe('an evaluation', () => {
  test.each([
    ['ngram', 1e9],
    ['lstm', 400],
  ] as const)('holds the records of window-by-window prediction: %s', async (kind, most) => {
    const { samples } = await findSamples(root, 'preprocessed');
    const trained = await trainedOf(kind, samples.slice(0, 2));
    const tasks = samples.slice(2).map((sample) => ({ sample, role: 'test' as const }));
    const evaluator = new Evaluator(trained, options);
    const evaluations = await Promise.all(tasks.map((task) => evaluator.evaluate(task, quiet)));
    expect(evaluations.map(({ sample }) => sample.label)).toEqual(['nominal', 'anomalous']);
    for (const [index, { occurrences, predictions }] of evaluations.entries()) {
      const plain = await windowByWindow(tasks[index].sample, trained, most);
      expect(plain.length).toBe(Math.min(most, occurrences.length));
      expect(predictions.length).toBeLessThan(occurrences.length);
      const first = occurrences.slice(0, plain.length);
      expect(Array.from(first, (i) => predictions.predicted[i])).toEqual(
        plain.map(({ predicted }) => predicted),
      );
      expect(Array.from(first, (i) => predictions.actual[i])).toEqual(
        plain.map(({ actual }) => actual),
      );
      // Sums of a batch and of a single window are rounded differently.
      const off = plain.map(({ confidence, probability }, i) => {
        const at = occurrences[i];
        return Math.max(
          Math.abs(predictions.confidence[at] - confidence),
          Math.abs(predictions.actualProbability[at] - probability),
        );
      });
      expect(Math.max(...off)).toBeLessThan(1e-6);
    }
    await trained.layer.dispose();
  });
});

describe('a prediction cache', () => {
  /** Predicts the sum of a window; counts what it is asked. */
  function counting(): FirstLayer & { asked: number } {
    return {
      asked: 0,
      name: 'ngram',
      windowLength: 2,
      inputClasses: 9,
      outputClasses: 99,
      fingerprint: '',
      async predict({ length, symbols, targets }) {
        this.asked += length;
        const values = Int32Array.from(
          { length },
          (_, i) => symbols[2 * i] + 10 * symbols[2 * i + 1],
        );
        if (values.includes(99)) throw new Error('no');
        return {
          predicted: values,
          confidence: Float32Array.from(values),
          targetProbability: Float32Array.from(targets),
          targetRank: Int32Array.from(targets),
        };
      },
      async save() {},
      async dispose() {},
    };
  }
  const windowsOf = (...symbols: number[]) => ({
    length: symbols.length / 2,
    windowLength: 2,
    symbols: Int32Array.from(symbols),
    targets: Int32Array.from({ length: symbols.length / 2 }, (_, i) => i % 2),
    counts: new Float64Array(symbols.length / 2).fill(1),
  });

  test('asks for each window and target once, also when requests overlap', async () => {
    const layer = counting();
    const cache = new PredictionCache(layer);
    const [a, b] = await Promise.all([
      cache.predict(windowsOf(1, 2, 3, 4, 1, 2), quiet),
      cache.predict(windowsOf(1, 2, 3, 4, 5, 6, 3, 4), quiet),
    ]);
    expect([...a.predicted]).toEqual([21, 43, 21]);
    expect([...b.predicted]).toEqual([21, 43, 65, 43]);
    expect([...b.targetProbability]).toEqual([0, 1, 0, 1]);
    expect(layer.asked).toBe(3);
  });

  test('forgets when it is full, and after a failure', async () => {
    const layer = counting();
    const cache = new PredictionCache(layer, 2);
    await cache.predict(windowsOf(1, 1, 2, 2, 3, 3), quiet);
    expect([...(await cache.predict(windowsOf(1, 1), quiet)).predicted]).toEqual([11]);
    expect(layer.asked).toBe(4);
    await expect(cache.predict(windowsOf(9, 9), quiet)).rejects.toThrow('no');
    await expect(cache.predict(windowsOf(9, 9), quiet)).rejects.toThrow('no');
    expect([...(await cache.predict(windowsOf(1, 1), quiet)).predicted]).toEqual([11]);
    expect(layer.asked).toBe(7);
  });
});
