import { countVerdicts, evidenceTotal, verdictError, verdictText } from '../data/order.ts';
import type { ReportData, ReportRow } from '../data/report-data.ts';
import { escapeMarkup } from '../words/escape.ts';
import { dataText, figureText, intervalText } from '../words/figure-text.ts';
import { formatCount, formatNumber, formatPercent, formatProbability } from '../words/numbers.ts';
import { inUnits, type Unit } from '../words/unit.ts';
import { name, words } from './html.ts';

/** A column of the table: its head, numeric or text, which way the first click sorts, and its cell. */
interface Column {
  readonly head: string;
  readonly isNumber?: boolean;
  readonly first?: 'descending';
  readonly sorted?: 'ascending';
  readonly cell: (row: ReportRow, at: RowPlace) => string;
}

interface RowPlace {
  readonly index: number;
  readonly href: string;
}

/** By the bare value in `data-v`, so that the shown text need not be sorted by. */
function numberCell(value: number | undefined, shown: string): string {
  return `<td class="n" data-v="${value === undefined || Number.isNaN(value) ? '' : value}">${shown}</td>`;
}

function countCell(value: number): string {
  return numberCell(value, value === 0 ? '<span class="muted">0</span>' : formatCount(value));
}

/** The second to the fourth are shown on narrow screens, too; the rest is on a trace's own page. */
const columns: readonly Column[] = [
  {
    ...{ head: '#', isNumber: true, sorted: 'ascending' },
    cell: (_, { index }) => numberCell(index + 1, String(index + 1)),
  },
  {
    ...{ head: 'Trace' },
    cell: (row, { href }) => `<th scope="row"><a href="${href}">${name(row.name, 44)}</a></th>`,
  },
  { head: 'Verdict', cell: (row) => `<td>${verdictMark(row)}</td>` },
  {
    ...{ head: 'p-value', isNumber: true },
    cell: ({ pValue }) => numberCell(pValue, formatProbability(pValue)),
  },
  {
    ...{ head: 'Score', isNumber: true, first: 'descending' },
    cell: ({ score }) => numberCell(score, formatNumber(score)),
  },
  { head: 'Label', cell: labelCell },
  {
    ...{ head: 'Evidence', isNumber: true, first: 'descending' },
    cell: (row) => countCell(evidenceTotal(row)),
  },
  {
    ...{ head: 'Mispredicted', isNumber: true, first: 'descending' },
    cell: ({ mispredictionRate: rate }) => numberCell(rate, formatPercent(rate)),
  },
  {
    ...{ head: 'Unknown\nblocks', isNumber: true, first: 'descending' },
    cell: ({ unknownBlockRate: rate }) => numberCell(rate, formatPercent(rate)),
  },
  {
    ...{ head: 'Gaps', isNumber: true, first: 'descending' },
    cell: ({ gaps }) => countCell(gaps),
  },
  {
    ...{ head: 'Blocks', isNumber: true, first: 'descending' },
    cell: ({ blocks }) => numberCell(blocks, formatCount(blocks)),
  },
];

function labelCell({ label, family }: ReportRow): string {
  if (label === undefined) return '<td data-v=""><span class="muted">–</span></td>';
  const isMore = family !== undefined && family !== label;
  return `<td>${label}${isMore ? ` <span class="family">${words(family, 24)}</span>` : ''}</td>`;
}

/** A log of calls proves nothing by itself. */
function columnsOf(unit: Unit): readonly Column[] {
  return unit === 'block' ? columns : columns.filter(({ head }) => head !== 'Evidence');
}

/**
 * What was judged stands open; calibration and training, which are there to compare with, are folded away.
 *
 * @param rows  most suspicious first
 */
export function renderOverviewPage(
  data: ReportData,
  rows: readonly ReportRow[],
  link: (row: ReportRow) => string,
): string {
  const { headline, rest } = countVerdicts(rows);
  const warnings = data.warnings.map((w) => `<p class="warning">${words(w)}</p>`).join('');
  const judged = rows.filter(({ role, verdict }) => role === 'test' || verdict !== undefined);
  const open = judged.length > 0 ? judged : rows;
  const folded = judged.length > 0 ? rows.filter((row) => !judged.includes(row)) : [];
  const places = new Map(
    rows.map((row, index): [ReportRow, RowPlace] => [row, { index, href: link(row) }]),
  );
  const tableOf = (shown: readonly ReportRow[], caption: string): string =>
    renderTable(shown, places, data.unit, caption);
  return `<section id="traces" class="page" aria-labelledby="traces-h">
<div class="lead"><div><h2 id="traces-h" class="count" tabindex="-1">${headline}</h2>
<p>${words(data.rule.summary)}${rest === '' ? '' : ` ${rest}`}${skippedNote(data)}</p></div>${keyFigures(data)}</div>
${warnings}
${tools}
<p id="said" class="visually-hidden" role="status"></p>
${tableOf(open, 'Traces, most suspicious first. The buttons in the head sort.')}${
  folded.length === 0
    ? ''
    : `
<details class="rest"><summary>${foldedTitle(folded)}, to compare with</summary>${tableOf(folded, 'Traces that were not judged.')}</details>`
}</section>`;
}

const tools =
  '<div class="tools" hidden><label>Filter<input id="filter" type="search" autocomplete="off" spellcheck="false" placeholder="name, label, family"></label><label>Show<select id="kind"><option value="">all</option><option value="flagged">flagged</option><option value="not-flagged">not flagged</option><option value="not-judged">not judged</option><option value="error">false alarms and misses</option></select></label><output id="shown" for="filter kind"></output></div>';

function skippedNote({ skipped }: ReportData): string {
  if (skipped.length === 0) return '';
  const what =
    skipped.length === 1 ? '1 sample was' : `${formatCount(skipped.length)} samples were`;
  return ` <a href="#run">${what} skipped</a>.`;
}

function foldedTitle(rows: readonly ReportRow[]): string {
  const roles = ['calibration', 'training'] as const;
  const counts = roles.map(
    (role) => [role, rows.filter((row) => row.role === role).length] as const,
  );
  return counts
    .filter(([, count]) => count > 0)
    .map(([role, count]) => `${formatCount(count)} ${role} ${count === 1 ? 'trace' : 'traces'}`)
    .join(' and ');
}

function renderTable(
  rows: readonly ReportRow[],
  places: ReadonlyMap<ReportRow, RowPlace>,
  unit: Unit,
  caption: string,
): string {
  const shown = columnsOf(unit);
  const head = shown.map((column) => renderHead(column, unit)).join('');
  const body = rows
    .map((row) => {
      const at = places.get(row) ?? { index: 0, href: '#traces' };
      return `<tr data-kind="${kindsOf(row)}">${shown.map(({ cell }) => cell(row, at)).join('')}</tr>`;
    })
    .join('\n');
  return `<div class="scroll" role="region" aria-label="${caption.split(/[.,]/)[0]}" tabindex="0"><table class="overview"><caption class="visually-hidden">${caption}</caption><thead><tr>${head}</tr></thead><tbody>
${body}
</tbody></table></div>`;
}

function renderHead({ head, isNumber, first, sorted }: Column, unit: Unit): string {
  const attributes =
    (isNumber === true ? ' class="n" data-type="number"' : '') +
    (first === undefined ? '' : ` data-first="${first}"`) +
    (sorted === undefined ? '' : ` aria-sort="${sorted}"`);
  const text = inUnits(head, unit).split('\n').map(escapeMarkup).join('<br>');
  return `<th scope="col"${attributes}><button type="button" disabled>${text}</button></th>`;
}

/** What the choice above the table knows a row by. */
function kindsOf(row: ReportRow): string {
  const verdict =
    row.verdict === 'anomalous'
      ? 'flagged'
      : row.verdict === 'nominal'
        ? 'not-flagged'
        : 'not-judged';
  return verdictError(row) === undefined ? verdict : `${verdict} error`;
}

export function verdictMark(row: ReportRow): string {
  const error = verdictError(row);
  return `<span class="verdict ${row.verdict ?? 'none'}">${verdictText(row)}</span>${error === undefined ? '' : `<span class="wrong">${error}</span>`}`;
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
