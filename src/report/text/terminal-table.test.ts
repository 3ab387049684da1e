import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { madeUpReport } from '../../../test/report/made-up-report.ts';
import {
  colourStyle,
  displayWidth,
  renderFigures,
  renderSummary,
  renderTable,
} from './terminal-table.ts';

const data = madeUpReport({ traces: 8 });

test('is aligned, most suspicious first', () => {
  expect(renderTable(data.rows, { width: 110 })).toMatchInlineSnapshot(`
    "trace          label               verdict           p-value  score  evidence  mispred.  unknown  gaps
    srop-0007      anomalous srop      anomalous          0.0083  58.48         3     2.6 %  0.022 %     0
    rop-0000       anomalous rop       anomalous          0.0083  58.23         9     1.9 %  0.020 %     0
    coop-0006      anomalous coop      anomalous          0.0083  52.65         1     2.6 %  0.034 %     0
    rop-0005       anomalous rop       anomalous          0.0083  52.00         4     1.2 %   0.16 %     1
    ret2libc-0003  anomalous ret2libc  anomalous          0.0083  51.07         3     1.6 %  0.021 %     0
    srop-0002      anomalous srop      anomalous          0.0083  48.04         8     2.5 %  0.047 %     0
    coop-0001      anomalous coop      anomalous          0.0083  27.07         1     2.7 %  0.055 %     0
    mimicry-0004   anomalous mimicry   nominal (missed)   0.0340  16.54         7     1.6 %   0.19 %     0
    "
  `);
});

test('drops the columns that matter least where the terminal is narrow', () => {
  expect(renderTable(data.rows.slice(0, 3), { width: 50 })).toMatchInlineSnapshot(`
    "trace      verdict    p-value  mispred.  unknown
    rop-0000   anomalous   0.0083     1.9 %  0.020 %
    srop-0002  anomalous   0.0083     2.5 %  0.047 %
    coop-0001  anomalous   0.0083     2.7 %  0.055 %
    "
  `);
});

describe.each([40, 60, 80, 120])('at %d columns', (width) => {
  test('no line is wider, whatever the names', () => {
    const names = [
      '漢字'.repeat(60),
      'x'.repeat(10_000),
      '\u001b[2J\u001b[31mred',
      'é́́',
      '😀'.repeat(99),
    ];
    const rows = names.map((name, i) => ({ ...data.rows[i]!, name }));
    const lines = renderTable(rows, { width }).trimEnd().split('\n');
    expect(lines).toHaveLength(names.length + 1);
    for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(width);
    expect(lines.join('')).not.toContain('\u001b');
  });
});

test('colour changes nothing but colour', () => {
  const coloured = renderSummary(data, { width: 100, style: colourStyle });
  expect(coloured).toContain('\u001b[');
  expect(stripVTControlCharacters(coloured)).toBe(renderSummary(data, { width: 100 }));
});

test('says how many rows it left out', () => {
  expect(renderTable(data.rows, { limit: 3 }).trimEnd().split('\n').at(-1)).toBe(
    'and 5 less suspicious traces',
  );
});

test('figures come with interval, counts and what they were measured on', () => {
  const all = madeUpReport();
  const lines = renderFigures(all.figures).split('\n');
  expect(lines).toContain(
    'Anomalous traces found              88.9 %  16 of 18, 95 % interval 74.4 % to 100 %, held-out',
  );
  expect(lines.filter((line) => line.endsWith('on fitted data'))).toHaveLength(1);
});

test('the summary tells warnings and skipped samples', () => {
  const text = renderSummary(data);
  expect(text).toContain('nominal-0311: mapping.txt is missing');
  expect(text).toContain('The newest nominal traces score higher');
  expect(renderSummary({ ...data, rows: [], figures: [], warnings: [], skipped: [] })).toBe(
    `0 of 0 traces flagged. ${data.rule.summary}\n`,
  );
});
