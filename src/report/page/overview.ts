import { countVerdicts, evidenceTotal, verdictError, verdictText } from '../data/order.ts';
import type { ReportData, ReportRow } from '../data/report-data.ts';
import { escapeMarkup } from '../words/escape.ts';
import { dataText, figureText, intervalText } from '../words/figure-text.ts';
import { formatCount, formatNumber, formatPercent, formatProbability } from '../words/numbers.ts';
import { inUnits, type Unit } from '../words/unit.ts';
import { name, words } from './html.ts';

/** Columns: head, numeric or text, and which way the first click sorts. */
const columns: readonly {
  readonly head: string;
  readonly isNumber?: boolean;
  readonly first?: 'descending';
  readonly sorted?: 'ascending' | 'descending';
}[] = [
  { head: '#', isNumber: true, sorted: 'ascending' },
  { head: 'Trace' },
  { head: 'Verdict' },
  { head: 'p-value', isNumber: true },
  { head: 'Score', isNumber: true, first: 'descending' },
  { head: 'Label' },
  { head: 'Evidence', isNumber: true, first: 'descending' },
  { head: 'Mispredicted', isNumber: true, first: 'descending' },
  { head: 'Unknown\nblocks', isNumber: true, first: 'descending' },
  { head: 'Gaps', isNumber: true, first: 'descending' },
  { head: 'Blocks', isNumber: true, first: 'descending' },
];

/** A log of calls proves nothing by itself. */
function columnsOf(unit: Unit): typeof columns {
  return unit === 'block' ? columns : columns.filter(({ head }) => head !== 'Evidence');
}

/** @param rows  most suspicious first */
export function renderOverviewPage(
  data: ReportData,
  rows: readonly ReportRow[],
  link: (row: ReportRow) => string,
): string {
  const { headline, rest } = countVerdicts(rows);
  const warnings = data.warnings.map((w) => `<p class="warning">${words(w)}</p>`).join('');
  const skipped =
    data.skipped.length === 0
      ? ''
      : ` <a href="#run">${data.skipped.length === 1 ? '1 sample was' : `${formatCount(data.skipped.length)} samples were`} skipped</a>.`;
  const head = columnsOf(data.unit)
    .map((column) => {
      const attributes =
        (column.isNumber === true ? ' class="n" data-type="number"' : '') +
        (column.first === undefined ? '' : ` data-first="${column.first}"`) +
        (column.sorted === undefined ? '' : ` aria-sort="${column.sorted}"`);
      return `<th scope="col"${attributes}><button type="button" disabled>${inUnits(column.head, data.unit).split('\n').map(escapeMarkup).join('<br>')}</button></th>`;
    })
    .join('');
  const body = rows.map((row, index) => overviewRow(row, index, link(row), data.unit)).join('\n');
  return `<section id="traces" class="page" aria-labelledby="traces-h">
<div class="lead"><div><h2 id="traces-h" class="count" tabindex="-1">${headline}</h2>
<p>${words(data.rule.summary)}${rest === '' ? '' : ` ${rest}`}${skipped}</p></div>${keyFigures(data)}</div>
${warnings}
<div class="tools" hidden><label>Filter<input id="filter" type="search" autocomplete="off" spellcheck="false" placeholder="name, label, family"></label><label>Show<select id="kind"><option value="">all</option><option value="flagged">flagged</option><option value="not-flagged">not flagged</option><option value="not-judged">not judged</option><option value="error">false alarms and misses</option></select></label><output id="shown" for="filter kind"></output></div>
<p id="said" class="visually-hidden" role="status"></p>
<div class="scroll" role="region" aria-label="Table of traces" tabindex="0"><table class="overview"><caption class="visually-hidden">Traces, most suspicious first. The buttons in the head sort.</caption><thead><tr>${head}</tr></thead><tbody>
${body}
</tbody></table></div></section>`;
}

export function verdictMark(row: ReportRow): string {
  const error = verdictError(row);
  return `<span class="verdict ${row.verdict ?? 'none'}">${verdictText(row)}</span>${error === undefined ? '' : `<span class="wrong">${error}</span>`}`;
}

function overviewRow(row: ReportRow, index: number, href: string, unit: Unit): string {
  const kinds = [
    row.verdict === 'anomalous'
      ? 'flagged'
      : row.verdict === 'nominal'
        ? 'not-flagged'
        : 'not-judged',
    ...(verdictError(row) === undefined ? [] : ['error']),
  ].join(' ');
  const cell = (value: number | undefined, shown: string): string =>
    `<td class="n" data-v="${value === undefined || Number.isNaN(value) ? '' : value}">${shown}</td>`;
  const evidence = evidenceTotal(row);
  const label =
    row.label === undefined
      ? '<td data-v=""><span class="muted">–</span></td>'
      : `<td>${row.label}${row.family === undefined || row.family === row.label ? '' : ` <span class="family">${words(row.family, 24)}</span>`}</td>`;
  return (
    `<tr data-kind="${kinds}">${cell(index + 1, String(index + 1))}<th scope="row"><a href="${href}">${name(row.name, 44)}</a></th>` +
    `<td>${verdictMark(row)}</td>${cell(row.pValue, formatProbability(row.pValue))}${cell(row.score, formatNumber(row.score))}${label}` +
    (unit === 'call'
      ? ''
      : cell(evidence, evidence === 0 ? '<span class="muted">0</span>' : formatCount(evidence))) +
    `${cell(row.mispredictionRate, formatPercent(row.mispredictionRate))}${cell(row.unknownBlockRate, formatPercent(row.unknownBlockRate))}` +
    `${cell(row.gaps, row.gaps === 0 ? '<span class="muted">0</span>' : formatCount(row.gaps))}${cell(row.blocks, formatCount(row.blocks))}</tr>`
  );
}

/** The first figures beside the headline; never fitted ones, where better are at hand. */
function keyFigures(data: ReportData): string {
  const honest = data.figures.filter((figure) => figure.data !== 'fitted');
  const shown = (honest.length > 0 ? honest : data.figures).slice(0, 4);
  if (shown.length === 0) return '';
  const items = shown.map((figure) => {
    const interval = intervalText(figure);
    const small = [interval, dataText(figure.data)].filter((part) => part !== '').join(', ');
    return `<div><dd>${figureText(figure)}<small>${small}</small></dd><dt>${words(figure.name, 60)}</dt></div>`;
  });
  return `<dl class="keys">${items.join('')}</dl>`;
}
