import { scaleLinear, scaleSymlog } from 'd3-scale';
import type { ReportRow, VerdictRule } from '../data/report-data.ts';
import { escapeMarkup, shorten, visible } from '../words/escape.ts';
import { formatNumber } from '../words/numbers.ts';
import { bottomAxis } from './axis.ts';
import { emptyNote } from './roc.ts';
import { legend } from './scatter.ts';
import { traceMark } from './shapes.ts';
import { type ChartOptions, chart, element, text } from './svg.ts';
import { light } from './theme.ts';

const rowHeight = 40;
const markSize = 7.5;

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
  const scored = rows.filter((row) => row.score !== undefined && Number.isFinite(row.score));
  const groups = groupRows(scored);
  const width = 1000;
  const frame = { left: 180, top: 30, right: width - 28, bottom: 0 };
  frame.bottom = frame.top + Math.max(1, groups.length) * rowHeight;
  const size = { width, height: frame.bottom + 84 };
  const scores = scored.map((row) => row.score!);
  if (rule.threshold !== undefined && Number.isFinite(rule.threshold)) scores.push(rule.threshold);
  const low = scores.reduce((a, b) => Math.min(a, b), 0);
  const high = scores.reduce((a, b) => Math.max(a, b), low + 1e-9);
  const sizes = scores.map(Math.abs).sort((a, b) => a - b);
  const middle = sizes[sizes.length >> 1] ?? 0;
  const most = Math.max(high, -low);
  // A few scores a hundred times the rest would press the rest into a line.
  const isWide = most > 50 * Math.max(middle, 1e-9);
  const constant = Math.max(middle, most / 1000);
  const scale = isWide
    ? scaleSymlog([low, high], [frame.left, frame.right]).constant(constant)
    : scaleLinear([low, high], [frame.left, frame.right]).nice(6);
  const x = Object.assign((value: number) => scale(value), {
    ticks: (count: number) => (isWide ? symlogTicks(low, high, constant) : scale.ticks(count)),
  });

  let content = bottomAxis(x, frame, {
    palette,
    title: `${rule.scoreName}${isWide ? ', compressed scale' : ''}: more suspicious →`,
    format: formatNumber,
    count: 7,
  });
  groups.forEach((group, index) => {
    const y = frame.top + (index + 0.5) * rowHeight;
    if (index > 0) {
      content += element('path', {
        d: `M16 ${y - rowHeight / 2}H${frame.right}`,
        stroke: palette.line,
        fill: 'none',
      });
    }
    content += text(visible(shorten(group.name, 22)), { x: 16, y: y + 1 });
    content += text(
      `${group.rows.length} ${group.rows.length === 1 ? 'trace' : 'traces'}${group.note}`,
      {
        x: 16,
        y: y + 15,
        fill: palette.muted,
        'font-size': 10.5,
      },
    );
    for (const { row, dy } of stack(group.rows, (row) => x(row.score!))) {
      const mark = traceMark(
        x(row.score!),
        y + dy,
        row.label,
        row.verdict === 'anomalous',
        palette,
      );
      const title = `<title>${escapeMarkup(shorten(row.name, 80))}: ${formatNumber(row.score)}</title>`;
      content +=
        options.link === undefined
          ? `<g>${title}${mark}</g>`
          : element('a', { href: options.link(row), tabindex: -1 }, title + mark);
    }
  });
  if (rule.threshold !== undefined && Number.isFinite(rule.threshold)) {
    const at = x(rule.threshold);
    content += element('path', {
      d: `M${at} ${frame.top - 6}V${frame.bottom}`,
      stroke: palette.text,
      'stroke-width': 1.5,
      'stroke-dasharray': '5 3',
      fill: 'none',
    });
    const isRight = at > (frame.left + frame.right) / 2;
    content += text(`threshold ${formatNumber(rule.threshold)}`, {
      x: at,
      y: frame.top - 12,
      'text-anchor': isRight ? 'end' : 'start',
      'font-size': 11,
    });
  }
  if (scored.length === 0) content += emptyNote(frame, palette, 'no trace has a score');
  content += legend(
    scored.map((row) => ({ row })),
    frame.left,
    frame.bottom + 62,
    palette,
    false,
  );
  return chart(
    size,
    {
      title: 'Scores by kind of trace',
      description: `${rule.scoreName}; ${groups.map((g) => `${visible(g.name)}: ${g.rows.length} traces, median ${formatNumber(g.median)}`).join('; ')}.`,
      className: 'scores',
    },
    { ...options, hasLinks: options.link !== undefined },
    content,
  );
}

interface Group {
  readonly name: string;
  readonly note: string;
  readonly rows: ReportRow[];
  readonly median: number;
}

/** By label, then family, nominal first; within that by median score. Calibration stands apart. */
function groupRows(rows: readonly ReportRow[]): Group[] {
  const groups = new Map<
    string,
    { name: string; note: string; order: number; rows: ReportRow[] }
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
      const sorted = group.rows.map((row) => row.score!).sort((a, b) => a - b);
      return { ...group, median: sorted[sorted.length >> 1] };
    })
    .sort((a, b) => a.order - b.order || a.median - b.median || (a.name < b.name ? -1 : 1));
}

/** Moves marks up and down so that they do not cover each other, at most to the row's edge. */
function stack(
  rows: readonly ReportRow[],
  at: (row: ReportRow) => number,
): { row: ReportRow; dy: number }[] {
  const levels = [0, -1, 1, -2, 2].map((level) => level * markSize);
  const ends = levels.map(() => Number.NEGATIVE_INFINITY);
  return [...rows]
    .sort((a, b) => a.score! - b.score!)
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
