import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { undescribed, violations } from '../../../test/json-schema.ts';
import { hostileReport } from '../../../test/report/hostile-report.ts';
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

test('is what the published schema says, and nothing else passes for it', () => {
  const path = new URL('../../../docs/schemas/report.schema.json', import.meta.url);
  const schema = JSON.parse(readFileSync(path, 'utf8')) as Parameters<typeof violations>[0];
  const read = (report: Parameters<typeof reportToJson>[0]) => JSON.parse(reportToJson(report));
  const data = madeUpReport();
  const bare = data.rows.map((row) => ({ ...row, detail: undefined, pValue: undefined }));
  for (const report of [data, hostileReport(), { ...data, rows: bare, line: undefined }]) {
    expect(violations(schema, read(report))).toEqual([]);
  }
  const document = read(data);
  expect(undescribed(schema, document)).toEqual([]);
  const row = document.rows.find((each: { detail: unknown }) => each.detail !== null);
  const [patch] = row.detail.patches;
  delete row.verdict;
  patch.firstBlock = '1';
  expect(violations(schema, { ...document, schemaVersion: 2 })).toHaveLength(3);
});
