import { scaleLinear } from 'd3-scale';
import { bottomAxis, frameLines, leftAxis } from './axis.ts';
import { type ChartOptions, chart, element, round, text, textWidth } from './svg.ts';
import { light } from './theme.ts';

/** What one trace added to the sequences seen so far. */
export interface NoveltyPoint {
  readonly name: string;
  readonly role: 'training' | 'calibration' | 'test nominal' | 'test anomalous';
  /** Distinct sequences of this trace that no trace before it had. */
  readonly fresh: number;
  /** Distinct sequences of this trace. */
  readonly distinct: number;
  /** Distinct sequences of this trace and all before it. */
  readonly total: number;
}

/** Cumulatively unique sequences over the traces, in order; anomalous test traces are crosses. */
export function renderNovelty(
  points: readonly NoveltyPoint[],
  conclusion: string,
  options: ChartOptions = {},
): string {
  const palette = options.palette ?? light;
  const frame = { left: 76, top: 34, right: 576, bottom: 284 };
  const x = scaleLinear([0, Math.max(1, points.length)], [frame.left, frame.right]);
  const y = scaleLinear([0, Math.max(1, points.at(-1)?.total ?? 1)], [frame.bottom, frame.top]);
  let content =
    bottomAxis(x, frame, { palette, title: 'traces', format: String, count: 8 }) +
    leftAxis(y, frame, {
      palette,
      title: 'unique sequences so far',
      format: (value) => value.toLocaleString('en-US'),
      count: 5,
    }) +
    frameLines(frame, palette);
  const at = (index: number): string =>
    `${round(x(index))} ${round(y(index === 0 ? 0 : (points[index - 1]?.total ?? 0)))}`;
  const line = points.map((_, index) => `L${at(index + 1)}`).join('');
  content += element('path', {
    d: `M${at(0)}${line}`,
    fill: 'none',
    stroke: palette.nominal,
    'stroke-width': 2,
  });
  /** Right end of the last label in each row, from the bottom up. */
  const rows: number[] = [];
  points.forEach(({ role, total }, index) => {
    const before = points[index - 1];
    if (before !== undefined && before.role !== role) {
      content += element('path', {
        d: `M${round(x(index))} ${frame.top}V${frame.bottom}`,
        stroke: palette.edge,
        'stroke-dasharray': '2 3',
      });
    }
    if (before?.role !== role) {
      const width = textWidth(role);
      const left = Math.min(x(index) + 4, frame.right - width);
      const free = rows.findIndex((end) => end < left);
      const row = free < 0 ? rows.length : free;
      rows[row] = left + width;
      content += text(role, { x: left, y: frame.bottom - 6 - 14 * row, 'font-size': 11 });
    }
    if (role === 'test anomalous') {
      const [cx, cy] = [round(x(index + 1)), round(y(total))];
      content += element('path', {
        d: `M${cx - 3} ${cy - 3}l6 6M${cx - 3} ${cy + 3}l6 -6`,
        stroke: palette.anomalous,
        'stroke-width': 1.5,
      });
    }
  });
  return chart(
    { width: 600, height: 336 },
    { title: 'Unique sequences by trace', description: conclusion, className: 'novelty' },
    options,
    content,
  );
}
