import { expect, test } from 'vitest';
import { exampleEvaluation } from '../../../test/example-evaluation.ts';
import { Random } from '../../base/random.ts';
import { classifyNominal } from '../../verdict/classify-nominal.ts';
import { computeFeatures, type TraceFeatures } from '../../verdict/features/features.ts';
import { classifyLabelled } from '../../verdict/labelled/classify-labelled.ts';
import { renderReport } from '../page/html-report.ts';
import { rowsToCsv } from '../text/csv.ts';
import { renderSummary } from '../text/terminal-table.ts';
import { type ReportContext, reportOfLabelled, reportOfNominal } from './report-of.ts';

const context: ReportContext = {
  title: 'made up',
  created: '2026-11-24T09:30:00Z',
  generator: 'Wayward 0.1.0',
  run: [{ name: 'Seed', value: '1' }],
};

function traces(): TraceFeatures[] {
  const random = new Random(11);
  const make = (
    name: string,
    label: 'nominal' | 'anomalous',
    role: 'training' | 'calibration' | 'test',
    wrong: number,
    mismatches: number,
  ): TraceFeatures =>
    computeFeatures(
      exampleEvaluation(
        Array.from({ length: 200 }, (_, i) => ({
          predicted: 1,
          actual: i < wrong ? 2 : 1,
          confidence: 0.5 + 0.4 * random.uniform(),
          p: i < wrong ? 0.001 : 0.9,
        })),
        {
          sample: { name, label, role, family: label === 'anomalous' ? 'rop' : undefined },
          evidence: Array.from({ length: mismatches }, (_, i) => ({
            kind: 'return-mismatch' as const,
            position: i * 4,
            traceOffset: i,
          })),
        },
      ),
    );
  return [
    make('trained', 'nominal', 'training', 0, 0),
    ...Array.from({ length: 40 }, (_, i) =>
      make(`c${i}`, 'nominal', 'calibration', random.below(4), 0),
    ),
    ...Array.from({ length: 10 }, (_, i) => make(`n${i}`, 'nominal', 'test', random.below(4), 0)),
    ...Array.from({ length: 6 }, (_, i) => make(`a${i}`, 'anomalous', 'test', 30 + i, i)),
  ];
}

test('verdicts from nominal traces', () => {
  const result = classifyNominal(traces(), { fpr: 0.05, features: 'all', seed: 1 });
  const data = reportOfNominal(result, context);
  expect(data.rows).toHaveLength(57);
  const row = data.rows.find((r) => r.name === 'a3')!;
  expect(row).toMatchObject({
    verdict: 'anomalous',
    label: 'anomalous',
    family: 'rop',
    evidenceCounts: { 'return-mismatch': 3 },
    predictions: 200,
  });
  expect(row.pValue).toBeCloseTo(1 / 41, 12);
  expect(row.mispredictionRate).toBeCloseTo(33 / 200, 12);
  expect(row.reasons[0]).toMatch(/^Flagged: p-value 0.0244 is at most 0.05/);
  expect(row.reasons[1]).toBe('3 returns that did not go to their call.');
  expect(row.features.find((f) => f.key === 'mispredictionRate')!.pValue).toBeCloseTo(1 / 41, 12);
  expect(data.rows.find((r) => r.name === 'trained')!.verdict).toBeUndefined();
  const figure = data.figures.find((f) => f.name === 'Anomalous traces found')!;
  expect(figure).toMatchObject({ value: 1, count: 6, total: 6, data: 'held-out' });
  expect(data.roc[0]!.area).toBe(1);
  // The threshold and the verdicts agree, so that the chart does.
  for (const r of data.rows.filter((x) => x.role === 'test')) {
    expect(r.score! > data.rule.threshold!).toBe(r.verdict === 'anomalous');
  }
  expect(renderReport(data).length).toBeGreaterThan(50_000);
  expect(renderSummary(data)).toContain('6 of 6');
  expect(rowsToCsv(data.rows).split('\r\n')).toHaveLength(59);
});

test('verdicts of a linear SVM, with its line in the units of the features', async () => {
  const result = await classifyLabelled(traces(), {
    features: 'classic',
    cost: 1,
    force: true,
    folds: 3,
    seed: 1,
  });
  const data = reportOfLabelled(result, context);
  expect(data.rows).toHaveLength(56);
  expect(data.warnings.join(' ')).toContain('trained the model are left out');
  const { mispredictionWeight, confidenceWeight, bias } = data.line!;
  for (const row of data.rows) {
    const side =
      mispredictionWeight * row.mispredictionRate! + confidenceWeight * row.wrongConfidence! + bias;
    expect(side).toBeCloseTo(row.score!, 9);
    expect(side > 0).toBe(row.verdict === 'anomalous');
  }
  const measured = new Set(data.figures.map((f) => f.data));
  expect(measured).toEqual(new Set(['cross-validation', 'fitted']));
  expect(data.roc.map((curve) => curve.data)).toEqual(['cross-validation', 'fitted']);
  expect(renderReport(data)).toContain('decision line of the linear SVM');
});
