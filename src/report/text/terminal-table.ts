import { styleText } from 'node:util';

import {
  bySuspicion,
  countVerdicts,
  evidenceTotal,
  verdictError,
  verdictText,
} from '../data/order.ts';
import type { Figure, ReportData, ReportRow } from '../data/report-data.ts';
import { shorten, visible } from '../words/escape.ts';
import { dataText, figureText, intervalText } from '../words/figure-text.ts';
import { formatCount, formatNumber, formatPercent, formatProbability } from '../words/numbers.ts';

/** What a piece of text is; the caller says how that looks, or that it looks like the rest. */
export type TextRole = 'anomalous' | 'nominal' | 'muted' | 'strong' | 'warning';
export type Style = (role: TextRole, text: string) => string;

export const plainStyle: Style = (_, text) => text;

/** ANSI colours, whether or not anything is a terminal: callers ask first. */
export const colourStyle: Style = (role, text) =>
  styleText(
    (
      {
        anomalous: 'red',
        nominal: 'blue',
        muted: 'gray',
        strong: 'bold',
        warning: 'yellow',
      } as const
    )[role],
    text,
    { validateStream: false },
  );

export interface TableOptions {
  /** Columns of the terminal; at least 40 are used. */
  readonly width?: number;
  readonly style?: Style;
  /** Rows shown, most suspicious first; how many were left out is said. */
  readonly limit?: number;
}

interface Column {
  readonly head: string;
  readonly isRight: boolean;
  /** Columns with a higher number go first when the terminal is narrow. */
  readonly dropOrder: number;
  readonly cell: (row: ReportRow) => string;
  readonly role?: (row: ReportRow) => TextRole | undefined;
}

const columns: readonly Column[] = [
  {
    head: 'trace',
    isRight: false,
    dropOrder: 0,
    cell: (row) => visible(row.name),
    role: (row) => (row.verdict === 'anomalous' ? 'strong' : undefined),
  },
  {
    head: 'label',
    isRight: false,
    dropOrder: 5,
    cell: labelCell,
  },
  {
    head: 'verdict',
    isRight: false,
    dropOrder: 0,
    cell: (row) => {
      const error = verdictError(row);
      return `${verdictText(row)}${error === undefined ? '' : ` (${error})`}`;
    },
    role: (row) => row.verdict ?? 'muted',
  },
  { head: 'p-value', isRight: true, dropOrder: 1, cell: (row) => formatProbability(row.pValue) },
  { head: 'score', isRight: true, dropOrder: 7, cell: (row) => formatNumber(row.score) },
  {
    head: 'evidence',
    isRight: true,
    dropOrder: 6,
    cell: (row) => formatCount(evidenceTotal(row)),
    role: (row) => (evidenceTotal(row) === 0 ? 'muted' : undefined),
  },
  {
    head: 'mispred.',
    isRight: true,
    dropOrder: 2,
    cell: (row) => formatPercent(row.mispredictionRate),
  },
  {
    head: 'unknown',
    isRight: true,
    dropOrder: 3,
    cell: (row) => formatPercent(row.unknownBlockRate),
  },
  {
    head: 'gaps',
    isRight: true,
    dropOrder: 4,
    cell: (row) => formatCount(row.gaps),
    role: (row) => (row.gaps === 0 ? 'muted' : undefined),
  },
];

function labelCell(row: ReportRow): string {
  const label = row.label ?? '–';
  if (row.family === undefined || row.family === row.label) return label;
  return `${label} ${visible(shorten(row.family, familyLimit))}`;
}

const between = '  ';
/** Names are cut to this before columns are dropped, when the terminal is narrow. */
const leastName = 24;
const familyLimit = 16;

/** The rows as an aligned table, most suspicious first. Every line ends in a newline. */
export function renderTable(rows: readonly ReportRow[], options: TableOptions = {}): string {
  const width = Math.max(40, options.width ?? 100);
  const style = options.style ?? plainStyle;
  const ordered = bySuspicion(rows);
  const shown = ordered.slice(0, options.limit ?? ordered.length);
  let kept = columns.map((column) => {
    const cells = shown.map((row) => plainSpaces(column.cell(row)));
    const widest = cells.reduce((most, cell) => Math.max(most, displayWidth(cell)), 0);
    return { column, cells, width: Math.max(widest, column.head.length) };
  });
  const total = (): number =>
    kept.reduce((sum, item, index) => {
      const least = item.column.head === 'trace' ? Math.min(item.width, leastName) : item.width;
      return sum + least + (index > 0 ? between.length : 0);
    }, 0);
  while (total() > width) {
    const last = kept.reduce((a, b) => (b.column.dropOrder > a.column.dropOrder ? b : a));
    if (last.column.dropOrder === 0) break;
    kept = kept.filter((item) => item !== last);
  }
  // The names take what the other columns leave.
  const others = total() - Math.min(kept[0].width, leastName);
  kept[0].width = Math.max(8, Math.min(kept[0].width, width - others));
  let out = `${kept
    .map((item) => style('muted', pad(item.column.head, item.width, item.column.isRight)))
    .join(between)
    .trimEnd()}\n`;
  shown.forEach((row, index) => {
    const line = kept.map((item, place) => {
      const cell = pad(cut(item.cells[index], item.width), item.width, item.column.isRight);
      const role = item.column.role?.(row);
      const isLast = place === kept.length - 1 && !item.column.isRight;
      const text = isLast ? cell.trimEnd() : cell;
      return role === undefined ? text : style(role, text);
    });
    out += `${line.join(between)}\n`;
  });
  if (shown.length < ordered.length) {
    out += `${style('muted', `and ${plainSpaces(formatCount(ordered.length - shown.length))} less suspicious traces`)}\n`;
  }
  return out;
}

/** The figures, one a line, each with its interval, its counts and what it was measured on. */
export function renderFigures(figures: readonly Figure[], options: TableOptions = {}): string {
  const style = options.style ?? plainStyle;
  const names = figures.map((figure) => visible(shorten(figure.name, 48)));
  const nameWidth = names.reduce((most, name) => Math.max(most, displayWidth(name)), 0);
  const values = figures.map((figure) => plainSpaces(figureText(figure)));
  const valueWidth = values.reduce((most, value) => Math.max(most, value.length), 0);
  let out = '';
  let group = '';
  figures.forEach((figure, index) => {
    if (figure.group !== group && figures.some((other) => other.group !== figures[0].group)) {
      out += `${style('muted', visible(figure.group))}\n`;
    }
    group = figure.group;
    const interval = plainSpaces(intervalText(figure));
    const facts = [
      figure.total === undefined ? '' : `${figure.count ?? '?'} of ${figure.total}`,
      interval === ''
        ? ''
        : `${Math.round((figure.confidence ?? 0.95) * 1000) / 10} % interval ${interval}`,
      dataText(figure.data),
    ].filter((part) => part !== '');
    const role: TextRole = figure.data === 'fitted' ? 'warning' : 'muted';
    out += `${pad(names[index], nameWidth, false)}${between}${style('strong', pad(values[index], valueWidth, true))}${between}${style(role, facts.join(', '))}\n`;
  });
  return out;
}

/** What `classify` prints: warnings, the table, the figures, what was skipped. */
export function renderSummary(data: ReportData, options: TableOptions = {}): string {
  const style = options.style ?? plainStyle;
  const { headline, rest } = countVerdicts(data.rows);
  const parts = [
    `${style('strong', `${plainSpaces(headline)}.`)} ${visible(data.rule.summary)}${rest === '' ? '' : ` ${plainSpaces(rest)}`}\n`,
    data.warnings
      .map((warning) => `${style('warning', 'warning')}  ${visible(warning)}\n`)
      .join(''),
    data.rows.length === 0 ? '' : renderTable(data.rows, options),
    renderFigures(data.figures, options),
    data.skipped
      .map(
        (s) =>
          `${style('warning', 'skipped')}  ${visible(shorten(s.name, 60))}: ${visible(s.reason)}\n`,
      )
      .join(''),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

function plainSpaces(text: string): string {
  return text.replaceAll('\u202f', ' ');
}

/** Terminal cells of a text without control characters: wide characters take two, marks none. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const point of text) width += /\p{M}/u.test(point) ? 0 : isWide.test(point) ? 2 : 1;
  return width;
}

/** East Asian wide and full-width ranges, and emoji that show as pictures. @see Unicode TR 11 */
const isWide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

function pad(text: string, width: number, isRight: boolean): string {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return isRight ? space + text : text + space;
}

function cut(text: string, width: number): string {
  let limit = width;
  let shown = shorten(text, limit);
  while (displayWidth(shown) > width && limit > 1) shown = shorten(text, --limit);
  return shown;
}
