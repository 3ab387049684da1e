import { scaleLinear, scaleSymlog } from 'd3-scale';
import type { ReportRow, VerdictRule } from '../data/report-data.ts';
import { escapeMarkup, shorten, visible } from '../words/escape.ts';
import { formatNumber } from '../words/numbers.ts';
import { bottomAxis } from './axis.ts';
import { emptyNote } from './roc.ts';
import { legend } from './scatter.ts';
import { traceMark } from './shapes.ts';
import { type ChartOptions, chart, element, text } from './svg.ts';
import { light, type Palette } from './theme.ts';

const rowHeight = 40;
const markSize = 7.5;

/** A row that the chart can show. */
type ScoredRow = ReportRow & { readonly score: number };

function isScored(row: ReportRow): row is ScoredRow {
  return row.score !== undefined && Number.isFinite(row.score);
}

/** Where things stand, and in which colours. */
interface Plot {
  readonly palette: Palette;
  readonly frame: {
    readonly left: number;
    readonly top: number;
    readonly right: number;
    readonly bottom: number;
  };
  /** From score to px. */
  readonly x: (score: number) => number;
  readonly link: ((row: ReportRow) => string) | undefined;
}

/**
 * Where the scores of each kind of trace lie: one row a label and family, one mark a trace, the
 * threshold as a line. Marks that would cover each other are stacked.
 */
export function renderScores(
  rows: readonly ReportRow[],
  rule: VerdictRule,
  options: ChartOptions & { readonly link?: (row: ReportRow) => string } = {},
): string {
  const palette = options.palette ?? light;
  const scored = rows.filter(isScored);
  const groups = groupRows(scored);
  const width = 1000;
  const bottom = 30 + Math.max(1, groups.length) * rowHeight;
  const frame = { left: 180, top: 30, right: width - 28, bottom };
  const isCut = rule.threshold !== undefined && Number.isFinite(rule.threshold);
  const values = scored.map((row) => row.score).concat(isCut ? [rule.threshold] : []);
  const { x, ticks, isWide } = scoreScale(values, frame);
  const at: Plot = { palette, frame, x, link: options.link };
  const content = [
    bottomAxis(Object.assign(x, { ticks }), frame, {
      palette,
      title: `${rule.scoreName}${isWide ? ', compressed scale' : ''}: more suspicious →`,
      format: formatNumber,
      count: 7,
    }),
    ...groups.map((group, index) => drawGroup(group, index, at)),
    isCut ? drawThreshold(rule.threshold, at) : '',
    scored.length === 0 ? emptyNote(frame, palette, 'no trace has a score') : '',
    legend(
      scored.map((row) => ({ row })),
      frame.left,
      frame.bottom + 62,
      palette,
      false,
    ),
  ];
  const names = {
    title: 'Scores by kind of trace',
    description: `${rule.scoreName}; ${groups.map((g) => `${visible(g.name)}: ${g.rows.length} traces, median ${formatNumber(g.median)}`).join('; ')}.`,
    className: 'scores',
  };
  const look = { ...options, hasLinks: options.link !== undefined };
  return chart({ width, height: bottom + 84 }, names, look, content.join(''));
}

/** Linear, or compressed where a few scores a hundred times the rest would press the rest into a line. */
function scoreScale(
  values: readonly number[],
  { left, right }: Plot['frame'],
): {
  readonly x: (score: number) => number;
  readonly ticks: (count: number) => number[];
  readonly isWide: boolean;
} {
  const low = values.reduce((a, b) => Math.min(a, b), 0);
  const high = values.reduce((a, b) => Math.max(a, b), low + 1e-9);
  const sizes = values.map(Math.abs).sort((a, b) => a - b);
  const middle = sizes[sizes.length >> 1] ?? 0;
  const most = Math.max(high, -low);
  const isWide = most > 50 * Math.max(middle, 1e-9);
  const constant = Math.max(middle, most / 1000);
  if (isWide) {
    const scale = scaleSymlog([low, high], [left, right]).constant(constant);
    return { x: (v) => scale(v), ticks: () => symlogTicks(low, high, constant), isWide };
  }
  const scale = scaleLinear([low, high], [left, right]).nice(6);
  return { x: (v) => scale(v), ticks: (count) => scale.ticks(count), isWide };
}

function drawGroup(group: Group, index: number, { palette, frame, x, link }: Plot): string {
  const y = frame.top + (index + 0.5) * rowHeight;
  const line = { d: `M16 ${y - rowHeight / 2}H${frame.right}`, stroke: palette.line, fill: 'none' };
  const count = `${group.rows.length} ${group.rows.length === 1 ? 'trace' : 'traces'}${group.note}`;
  const marks = stack(group.rows, (row) => x(row.score)).map(({ row, dy }) => {
    const isFlagged = row.verdict === 'anomalous';
    const mark = traceMark(x(row.score), y + dy, row.label, isFlagged, palette);
    const title = `<title>${escapeMarkup(shorten(row.name, 80))}: ${formatNumber(row.score)}</title>`;
    return link === undefined
      ? `<g>${title}${mark}</g>`
      : element('a', { href: link(row), tabindex: -1 }, title + mark);
  });
  return [
    index > 0 ? element('path', line) : '',
    text(visible(shorten(group.name, 22)), { x: 16, y: y + 1 }),
    text(count, { x: 16, y: y + 15, fill: palette.muted, 'font-size': 10.5 }),
    ...marks,
  ].join('');
}

function drawThreshold(threshold: number, { palette, frame, x }: Plot): string {
  const at = x(threshold);
  const isRight = at > (frame.left + frame.right) / 2;
  return (
    element('path', {
      d: `M${at} ${frame.top - 6}V${frame.bottom}`,
      stroke: palette.text,
      'stroke-width': 1.5,
      'stroke-dasharray': '5 3',
      fill: 'none',
    }) +
    text(`threshold ${formatNumber(threshold)}`, {
      x: at,
      y: frame.top - 12,
      'text-anchor': isRight ? 'end' : 'start',
      'font-size': 11,
    })
  );
}

interface Group {
  readonly name: string;
  readonly note: string;
  readonly rows: ScoredRow[];
  readonly median: number;
}

/** By label, then family, nominal first; within that by median score. Calibration stands apart. */
function groupRows(rows: readonly ScoredRow[]): Group[] {
  const groups = new Map<
    string,
    { name: string; note: string; order: number; rows: ScoredRow[] }
  >();
  for (const row of rows) {
    const order = row.label === 'nominal' ? 0 : row.label === 'anomalous' ? 2 : 1;
    const key = `${order}\0${row.role}\0${row.family ?? ''}`;
    const name = row.family ?? row.label ?? 'no label';
    const note = row.role === 'test' ? '' : `, ${row.role}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { name, note, order, rows: [row] });
    else group.rows.push(row);
  }
  return [...groups.values()]
    .map((group) => {
      const sorted = group.rows.map((row) => row.score).sort((a, b) => a - b);
      return { ...group, median: sorted[sorted.length >> 1] };
    })
    .sort((a, b) => a.order - b.order || a.median - b.median || (a.name < b.name ? -1 : 1));
}

/** Moves marks up and down so that they do not cover each other, at most to the row's edge. */
function stack(
  rows: readonly ScoredRow[],
  at: (row: ScoredRow) => number,
): { row: ScoredRow; dy: number }[] {
  const levels = [0, -1, 1, -2, 2].map((level) => level * markSize);
  const ends = levels.map(() => Number.NEGATIVE_INFINITY);
  return [...rows]
    .sort((a, b) => a.score - b.score)
    .map((row, index) => {
      const x = at(row);
      const free = ends.findIndex((end) => end + markSize <= x);
      const level = free >= 0 ? free : index % levels.length;
      ends[level] = x;
      return { row, dy: levels[level] };
    });
}

function symlogTicks(low: number, high: number, constant: number): number[] {
  const ticks = [0];
  const first = Math.ceil(Math.log10(constant));
  for (let power = first; 10 ** power <= Math.max(high, -low); power++) {
    if (10 ** power <= high) ticks.push(10 ** power);
    if (-(10 ** power) >= low) ticks.unshift(-(10 ** power));
  }
  return ticks;
}
