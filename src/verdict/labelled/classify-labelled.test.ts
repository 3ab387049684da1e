import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exampleEvaluation } from '../../../test/example-evaluation.ts';
import { sealJson } from '../../base/files/sealed.ts';
import { Random } from '../../base/random.ts';
import type { SampleIdentity } from '../../evaluation/evaluation.ts';
import { computeFeatures, type TraceFeatures } from '../features/features.ts';
import {
  applyClassifier,
  classifyLabelled,
  type LabelledOptions,
  loadClassifier,
  saveClassifier,
} from './classify-labelled.ts';
import { decisionValue, fitLinearSvm, type LabelledPoint } from './linear-svm.ts';

const point = (x: number, y: number, isAnomalous: boolean): LabelledPoint => ({
  values: [x, y],
  isAnomalous,
});
const plain = { cost: 1, force: false };

describe('linear SVM', () => {
  // With the smaller class repeated, and a large C, the widest street between (0,0),(1,0) and
  // (3,3),(4,3): between the nearest points (1,0) and (3,3), its middle line through (2,1.5).
  test('finds the widest street', async () => {
    const points = [point(0, 0, false), point(1, 0, false), point(3, 3, true), point(4, 3, true)];
    const plane = await fitLinearSvm(points, { cost: 1e4, force: false });
    const raw = plane.weights.map((w, i) => w / plane.scale[i]);
    expect(decisionValue(plane, [2, 1.5])).toBeCloseTo(0, 5);
    expect(decisionValue(plane, [1, 0])).toBeCloseTo(-1, 5);
    expect(decisionValue(plane, [3, 3])).toBeCloseTo(1, 5);
    // Standardised distances decide which street is widest; the scales are sqrt(2.5) and 1.5.
    const [a, b] = [2 / 2.5, 3 / 2.25];
    expect(raw[0] / raw[1]).toBeCloseTo(a / b, 4);
  });

  test('meets the optimality conditions of the soft margin', async () => {
    const random = new Random(1);
    const points = Array.from({ length: 80 }, (_, i) =>
      point(random.normal() + (i % 4 === 0 ? 1.5 : 0), random.normal(), i % 4 === 0),
    );
    const { weights, bias, centre, scale } = await fitLinearSvm(points, plain);
    // The primal objective has no descent direction: finite differences around the solution.
    const objective = (w: readonly number[], b: number): number =>
      points.reduce(
        (sum, { values, isAnomalous }) => {
          const f = values.reduce((s, v, i) => s + (w[i] * (v - centre[i])) / scale[i], b);
          const cost = isAnomalous ? 80 / 40 : 80 / 120;
          return sum + cost * Math.max(0, 1 - (isAnomalous ? f : -f));
        },
        (w[0] ** 2 + w[1] ** 2) / 2,
      );
    const best = objective(weights, bias);
    for (const step of [0.05, 0.01, -0.01, -0.05]) {
      expect(objective([weights[0] + step, weights[1]], bias)).toBeGreaterThan(best - 1e-6);
      expect(objective([weights[0], weights[1] + step], bias)).toBeGreaterThan(best - 1e-6);
      expect(objective(weights, bias + step)).toBeGreaterThan(best - 1e-6);
    }
  });

  test('forced, flags no nominal point that it was made with', async () => {
    const random = new Random(2);
    const points = Array.from({ length: 60 }, (_, i) =>
      point(random.normal() + (i % 2), random.normal(), i % 2 === 1),
    );
    const count = async (force: boolean): Promise<number> => {
      const plane = await fitLinearSvm(points, { cost: 1, force });
      return points.filter((p) => !p.isAnomalous && decisionValue(plane, p.values) > 0).length;
    };
    expect(await count(false)).toBeGreaterThan(0);
    expect(await count(true)).toBe(0);
  });

  test('identical points flag nothing', async () => {
    const points = [true, false, true, false].map((isAnomalous) => point(1, 2, isAnomalous));
    const plane = await fitLinearSvm(points, plain);
    expect(decisionValue(plane, [1, 2])).toBeLessThan(0);
    expect(decisionValue(plane, [100, -5])).toBeLessThan(0);
  });

  test('leaves no listener behind that ends the process', async () => {
    const before = process.listenerCount('unhandledRejection');
    await fitLinearSvm([point(0, 0, false), point(1, 1, true)], plain);
    expect(process.listenerCount('unhandledRejection')).toBe(before);
  });
});

const options: LabelledOptions = { features: 'classic', cost: 1, force: false, folds: 5, seed: 1 };

/** A trace with the given share of wrong predictions, all at the given confidence. */
function trace(wrong: number, confidence: number, sample: Partial<SampleIdentity>): TraceFeatures {
  const bad = Math.round(wrong * 100);
  return computeFeatures(
    exampleEvaluation(
      [
        { predicted: 1, actual: 1, confidence: 0.9 },
        { predicted: 1, actual: 2, confidence },
      ],
      { sample, occurrences: Array.from({ length: 100 }, (_, i) => (i < bad ? 1 : 0)) },
    ),
  );
}

const random = new Random(3);
const traces = Array.from({ length: 40 }, (_, i) => {
  const isAnomalous = i % 2 === 1;
  return trace(0.1 + 0.3 * random.uniform() + (isAnomalous ? 0.2 : 0), 0.6, {
    name: `t${i}`,
    label: isAnomalous ? 'anomalous' : 'nominal',
    family: isAnomalous ? `f${i % 3}` : undefined,
  });
});

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wayward-'));
});
afterEach(() => rm(directory, { recursive: true }));

describe('verdicts with labels', () => {
  test('come with fitted and cross-validated rates, told apart', async () => {
    const { fitted, crossValidation, verdicts } = await classifyLabelled(traces, options);
    expect(fitted.measuredOn).toBe('fitted');
    expect(crossValidation?.measuredOn).toBe('cross-validation');
    expect(fitted.recall.total).toBe(20);
    expect(verdicts.every((v) => v.crossValidated !== undefined)).toBe(true);
    expect(fitted.families.map((family) => family.family)).toEqual(['f0', 'f1', 'f2']);
  });

  test('a cross-validated decision does not see its own trace', async () => {
    // One anomalous trace looks nominal; it pulls the line only where it takes part.
    const { verdicts } = await classifyLabelled(traces, options);
    expect(verdicts.some((v) => Math.abs(v.crossValidated!.score - v.score) > 1e-6)).toBe(true);
  });

  test('training traces are left out, and that is said', async () => {
    const { verdicts, warnings } = await classifyLabelled(
      [...traces, trace(0, 0.5, { role: 'training' })],
      options,
    );
    expect(verdicts.length).toBe(40);
    expect(warnings).toEqual(['1 traces that trained the model are left out']);
  });

  test('one class only is refused', async () => {
    const nominal = traces.filter((item) => item.sample.label === 'nominal');
    await expect(classifyLabelled(nominal, options)).rejects.toThrow('20 nominal and 0 anomalous');
  });

  test('identical points are said', async () => {
    const same = ['nominal', 'anomalous', 'nominal', 'anomalous'].map((label) =>
      trace(0.2, 0.5, { label: label as 'nominal' }),
    );
    const { warnings, fitted } = await classifyLabelled(same, options);
    expect(warnings.join()).toContain('do not differ in mispredictionRate and wrongConfidence');
    expect(fitted.recall.count).toBe(0);
  });

  test('too few for cross-validation are said', async () => {
    const { crossValidation, warnings } = await classifyLabelled(traces.slice(0, 2), options);
    expect(crossValidation).toBeUndefined();
    expect(warnings.join()).toContain('two traces of each class');
  });
});

describe('saved classifier', () => {
  const head = { format: 'wayward-classifier', version: 3 };

  test('decides as before', async () => {
    const { classifier, verdicts } = await classifyLabelled(traces, options);
    const path = join(directory, 'svm.json');
    await saveClassifier(path, classifier);
    const again = applyClassifier(await loadClassifier(path), traces);
    expect(again.verdicts.map((v) => v.score)).toEqual(verdicts.map((v) => v.score));
  });

  test('measures a loaded classifier on traces that did not make it', async () => {
    const all = Array.from({ length: 40 }, (_, i) =>
      trace((i + 1) / 100, 0.6, { name: `t${i}`, label: i % 2 === 1 ? 'anomalous' : 'nominal' }),
    );
    const { classifier } = await classifyLabelled(all.slice(0, 30), options);
    const some = applyClassifier(classifier, all);
    expect(some.fitted).toMatchObject({ measuredOn: 'held out', nominal: 5, anomalous: 5 });
    expect(some.warnings).toEqual([
      '30 of 40 traces made the classifier: the error rates are those of the other 10',
    ]);
    // Under another name a trace is the same one.
    const renamed = all.slice(0, 30).map((t, i) => ({
      ...t,
      sample: { ...t.sample, name: `copy-${i}` },
    }));
    expect(applyClassifier(classifier, renamed).fitted.measuredOn).toBe('fitted');
    expect(applyClassifier(classifier, all.slice(30)).warnings).toEqual([]);
  });

  test('is made from labelled traces, and judges all', async () => {
    const unknown = trace(0.9, 0.9, { name: 'u', label: 'unknown' });
    const { classifier, warnings, verdicts } = await classifyLabelled(
      [...traces, unknown],
      options,
    );
    expect(warnings).toContain('1 traces without a label are left out');
    expect(verdicts.length).toBe(40);
    const judged = applyClassifier(classifier, [unknown]);
    expect(judged.verdicts[0]?.isFlagged).toBe(true);
    expect(judged.fitted).toMatchObject({ nominal: 0, anomalous: 0 });
  });

  test('refuses evaluations of another model', async () => {
    const { classifier } = await classifyLabelled(traces, options);
    expect(() => applyClassifier({ ...classifier, model: 'other' }, traces)).toThrow(
      'made with model other, the evaluation of t0 with abc',
    );
  });

  test.each([
    ['', 'is no JSON'],
    ['{}', 'has no checksum'],
    ['null', 'is no JSON object'],
    [sealJson({}), 'is no saved classifier'],
    [sealJson({ ...head, version: 9 }), 'version 9'],
    [sealJson(head), 'unknown features'],
    [sealJson({ ...head, features: ['<b>'] }), 'unknown features: <b>'],
    [sealJson({ ...head, features: ['nll'] }), 'no usable decision line'],
    [
      sealJson({
        ...head,
        features: ['nll'],
        plane: { centre: [0], scale: [0], weights: [1], bias: 0 },
      }),
      'no usable decision line',
    ],
  ])('%s is refused', async (text, message) => {
    const path = join(directory, 'svm.json');
    await writeFile(path, text);
    await expect(loadClassifier(path)).rejects.toThrow(message);
  });

  test('is readable JSON with a format and a version', async () => {
    const { classifier } = await classifyLabelled(traces, options);
    const path = join(directory, 'svm.json');
    await saveClassifier(path, classifier);
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({
      format: 'wayward-classifier',
      version: 3,
      features: ['mispredictionRate', 'wrongConfidence'],
      fittedOn: { nominal: 20, anomalous: 20 },
    });
  });
});
