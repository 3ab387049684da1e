import { scaleLinear } from 'd3-scale';
import type { DecisionLine, ReportRow } from '../data/report-data.ts';
import { escapeMarkup, shorten } from '../words/escape.ts';
import { formatPercent } from '../words/numbers.ts';
import { bottomAxis, frameLines, leftAxis } from './axis.ts';
import { emptyNote } from './roc.ts';
import { labelText, markScale, traceMark } from './shapes.ts';
import { type ChartOptions, chart, element, text } from './svg.ts';
import { light, type Palette } from './theme.ts';

type Point = { row: ReportRow; x: number; y: number };

/**
 * The two classic features of every trace, misprediction rate and mean confidence of wrong
 * predictions, with the linear SVM's decision line when there is one.
 *
 * @param link  page only: where a mark leads, by row
 */
export function renderScatter(
  rows: readonly ReportRow[],
  line: DecisionLine | undefined,
  options: ChartOptions & { readonly link?: (row: ReportRow) => string } = {},
): string {
  const palette = options.palette ?? light;
  const size = { width: 420, height: 432 };
  const frame = { left: 52, top: 34, right: 396, bottom: 344 };
  const points = rows.flatMap((row): Point[] =>
    isNumber(row.mispredictionRate) && isNumber(row.wrongConfidence)
      ? [{ row, x: row.mispredictionRate, y: row.wrongConfidence }]
      : [],
  );
  const x = scaleLinear(extent(points.map((p) => p.x)), [frame.left, frame.right]).nice(5);
  const y = scaleLinear(extent(points.map((p) => p.y)), [frame.bottom, frame.top]).nice(5);
  let content =
    bottomAxis(x, frame, {
      palette,
      title: 'misprediction rate',
      format: tick(x.ticks(5)),
      count: 5,
    }) +
    leftAxis(y, frame, {
      palette,
      title: 'mean confidence of wrong predictions',
      format: tick(y.ticks(5)),
      count: 5,
    }) +
    frameLines(frame, palette);
  if (line !== undefined) content += decisionLine(line, x, y, frame, palette);
  for (const point of points) {
    const mark = traceMark(
      x(point.x),
      y(point.y),
      point.row.label,
      point.row.verdict === 'anomalous',
      palette,
      markScale(points.length),
    );
    const name = escapeMarkup(shorten(point.row.name, 80));
    const title = `<title>${name}: ${formatPercent(point.x)}, ${formatPercent(point.y)}</title>`;
    content +=
      options.link === undefined
        ? `<g>${title}${mark}</g>`
        : element('a', { href: options.link(point.row), tabindex: -1 }, title + mark);
  }
  if (points.length === 0) content += emptyNote(frame, palette, 'no trace has both features');
  content += legend(points, frame.left, 400, palette, line !== undefined);
  return chart(
    size,
    {
      title: 'Misprediction rate and confidence of wrong predictions, by trace',
      description: `${points.length} traces. Circles are labelled nominal, diamonds anomalous; filled marks were flagged.`,
      className: 'scatter',
    },
    { ...options, hasLinks: options.link !== undefined },
    content,
  );
}

/** What the marks mean; only the labels that occur. */
export function legend(
  points: readonly { row: ReportRow }[],
  left: number,
  top: number,
  palette: Palette,
  hasLine: boolean,
): string {
  let out = '';
  let x = left + 5;
  const entry = (mark: string, name: string): void => {
    out += mark + text(name, { x: x + 10, y: top + 4, 'font-size': 11 });
    x += 10 + name.length * 6.6 + 18;
  };
  for (const label of ['nominal', 'anomalous', undefined] as const) {
    if (!points.some((p) => p.row.label === label)) continue;
    entry(traceMark(x, top, label, false, palette), labelText(label));
  }
  if (points.some((p) => p.row.verdict === 'anomalous')) {
    entry(traceMark(x, top, undefined, true, palette), 'filled: flagged');
  }
  if (hasLine) {
    x = left + 5;
    top += 20;
    out += element('path', {
      d: `M${x - 5} ${top}h22`,
      stroke: palette.text,
      'stroke-dasharray': '5 3',
      fill: 'none',
    });
    out += text('decision line of the linear SVM', { x: x + 24, y: top + 4, 'font-size': 11 });
  }
  return out;
}

function decisionLine(
  line: DecisionLine,
  x: { (v: number): number; domain(): number[] },
  y: { (v: number): number; domain(): number[] },
  frame: { left: number; right: number; top: number; bottom: number },
  palette: Palette,
): string {
  const { mispredictionWeight: a, confidenceWeight: b, bias: c } = line;
  const [x0, x1] = x.domain() as [number, number];
  const [y0, y1] = y.domain() as [number, number];
  // Where the line a x + b y + c = 0 meets the frame; a line that misses it is not drawn.
  const ends: [number, number][] = [];
  const add = (px: number, py: number): void => {
    const eps = 1e-9;
    if (px < x0 - eps || px > x1 + eps || py < y0 - eps || py > y1 + eps) return;
    if (!ends.some(([ex, ey]) => Math.abs(ex - px) < eps && Math.abs(ey - py) < eps))
      ends.push([px, py]);
  };
  if (b !== 0) for (const px of [x0, x1]) add(px, -(a * px + c) / b);
  if (a !== 0) for (const py of [y0, y1]) add(-(b * py + c) / a, py);
  if (ends.length < 2) {
    return text('the decision line lies outside this chart', {
      x: frame.right,
      y: frame.top + 14,
      'text-anchor': 'end',
      fill: palette.muted,
      'font-size': 11,
    });
  }
  const [from, to] = ends as [[number, number], [number, number]];
  return element('line', {
    x1: x(from[0]),
    y1: y(from[1]),
    x2: x(to[0]),
    y2: y(to[1]),
    stroke: palette.text,
    'stroke-width': 1.5,
    'stroke-dasharray': '5 3',
    class: 'decision-line',
  });
}

function isNumber(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value);
}

/** Rates, so from 0 unless all lie far from it; a single value still gets a width. */
function extent(values: readonly number[]): [number, number] {
  if (values.length === 0) return [0, 1];
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const margin = (high - low) * 0.06 || high * 0.1 || 0.01;
  return [low - margin < high * 0.4 ? 0 : low - margin, Math.min(high + margin, Math.max(1, high))];
}

function tick(ticks: readonly number[]): (value: number) => string {
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 0.1;
  const digits = Math.max(0, Math.min(4, -Math.floor(Math.log10(step * 100) + 1e-9)));
  return (value) => `${(value * 100).toFixed(digits)} %`;
}
