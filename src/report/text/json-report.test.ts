import { expect, test } from 'vitest';
import { madeUpReport } from '../../../test/report/made-up-report.ts';
import { reportToJson } from './json-report.ts';

test('holds everything but pictures, with unknown values as null', () => {
  const data = madeUpReport({ traces: 12 });
  const rows = [{ ...data.rows[0]!, pValue: undefined, score: Number.NaN }, ...data.rows.slice(1)];
  const text = reportToJson({ ...data, rows });
  const document = JSON.parse(text);
  expect(document.schemaVersion).toBe(1);
  expect(document.rows).toHaveLength(12);
  const first = document.rows.find((row: { name: string }) => row.name === data.rows[0]!.name);
  expect(first.pValue).toBeNull();
  expect(first.score).toBeNull();
  expect(first.detail.patches[0].firstBlock).toBe(data.rows[0]!.detail!.patches[0]!.firstBlock);
  expect(document.roc[0].points[0].threshold).toBe('Infinity');
  expect(document.figures).toEqual(JSON.parse(JSON.stringify(data.figures, (_, v) => v ?? null)));
  expect(text).not.toContain('timeline');
});
