import { expect, test } from 'vitest';
import { madeUpReport } from '../../../test/report/made-up-report.ts';
import { rocToCsv, rowsToCsv } from './csv.ts';

/** RFC 4180, strictly: throws on anything else. */
function parse(text: string): string[][] {
  const rows: string[][] = [[]];
  const field = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/y;
  while (field.lastIndex < text.length) {
    const match = field.exec(text);
    if (match === null) throw new Error('no RFC 4180 field');
    rows.at(-1)!.push(match[1]?.replaceAll('""', '"') ?? match[2]!);
    if (match[3] === '\r\n') rows.push([]);
  }
  rows.pop();
  return rows;
}

test('rows come back as they were, most suspicious first', () => {
  const { rows } = madeUpReport({ traces: 21 });
  const [head, ...lines] = parse(rowsToCsv(rows));
  expect(lines).toHaveLength(21);
  const at = (line: string[], name: string): string => line[head!.indexOf(name)]!;
  for (const line of lines) {
    expect(line).toHaveLength(head!.length);
    const row = rows.find((r) => r.name === at(line, 'trace'))!;
    expect(Number(at(line, 'p_value'))).toBe(row.pValue);
    expect(Number(at(line, 'score'))).toBe(row.score);
    expect(at(line, 'family')).toBe(row.family ?? '');
    expect(Number(at(line, 'unseenTransferRate'))).toBe(12);
    expect(at(line, 'place')).toBe(row.detail?.patches[0]?.inside ?? '');
    expect(at(line, 'place_fingerprint')).toBe(row.detail?.patches[0]?.fingerprint ?? '');
  }
  expect(at(lines[0]!, 'verdict')).toBe('anomalous');
  // What calibrates stands last, without a verdict.
  expect(at(lines.at(-1)!, 'verdict')).toBe('');
  expect(at(lines.at(-1)!, 'role')).toBe('calibration');
});

test('quotes, commas, line ends and formulas in names do no harm', () => {
  const [row] = madeUpReport({ traces: 1 }).rows;
  const names = ['a,"b"', 'line\r\nend', '=HYPERLINK("http://x")', '+1', '-1', '@x', ' space '];
  const csv = rowsToCsv(names.map((name, i) => ({ ...row!, name, pValue: i / 10 })));
  expect(
    parse(csv)
      .slice(1)
      .map((line) => line[0]),
  ).toEqual([
    'a,"b"',
    'line\\u{d}\\u{a}end',
    '\'=HYPERLINK("http://x")',
    "'+1",
    "'-1",
    "'@x",
    ' space ',
  ]);
});

test('unknown values are empty', () => {
  const [row] = madeUpReport({ traces: 1 }).rows;
  const [head, line] = parse(rowsToCsv([{ ...row!, pValue: undefined, score: Number.NaN }]));
  expect(line![head!.indexOf('p_value')]).toBe('');
  expect(line![head!.indexOf('score')]).toBe('');
});

test('ROC curves hold every point', () => {
  const { roc } = madeUpReport();
  const lines = parse(rocToCsv(roc)).slice(1);
  expect(lines).toHaveLength(roc[0]!.points.length + roc[1]!.points.length);
  expect(lines[0]).toEqual(['all evidence', 'held-out', 'inf', '0', '0']);
  expect(lines[roc[0]!.points.length - 1]!.slice(3)).toEqual(['1', '1']);
});
