import { scaleLinear } from 'd3-scale';
import type { RocCurve } from '../data/report-data.ts';
import { shorten } from '../words/escape.ts';
import { dataText } from '../words/figure-text.ts';
import { bottomAxis, frameLines, leftAxis } from './axis.ts';
import { type ChartOptions, chart, element, round, text } from './svg.ts';
import { light, type Palette } from './theme.ts';

const dashes = [undefined, '6 3', '2 3', '9 3 2 3'];

/**
 * Receiver operating characteristic: at each threshold, the share of nominal traces flagged
 * against the share of anomalous ones found.
 */
export function renderRoc(curves: readonly RocCurve[], options: ChartOptions = {}): string {
  const palette = options.palette ?? light;
  const legendTop = 396;
  const size = { width: 420, height: legendTop + 8 + Math.max(1, curves.length) * 34 };
  const frame = { left: 46, top: 34, right: 396, bottom: 344 };
  const x = scaleLinear([0, 1], [frame.left, frame.right]);
  const y = scaleLinear([0, 1], [frame.bottom, frame.top]);
  const percent = (value: number): string => `${Math.round(value * 100)} %`;
  let content =
    bottomAxis(x, frame, { palette, title: 'nominal traces flagged', format: percent, count: 5 }) +
    leftAxis(y, frame, { palette, title: 'anomalous traces found', format: percent, count: 5 }) +
    frameLines(frame, palette) +
    element('path', {
      d: `M${frame.left} ${frame.bottom}L${frame.right} ${frame.top}`,
      stroke: palette.muted,
      'stroke-dasharray': '1 4',
      fill: 'none',
    });
  curves.forEach((curve, index) => {
    const look = {
      stroke: curveColour(index, palette),
      'stroke-dasharray': dashes[index % dashes.length],
    };
    content += element('path', {
      d: stepPath(curve, x, y),
      fill: 'none',
      'stroke-width': 2,
      'stroke-linejoin': 'round',
      ...look,
    });
    const row = legendTop + 8 + index * 34;
    const x0 = frame.left + 34;
    content += element('path', {
      d: `M${frame.left} ${row - 4}h26`,
      'stroke-width': 2,
      fill: 'none',
      ...look,
    });
    content += text(shorten(curve.name, 48), { x: x0, y: row });
    content += text(areaText(curve), { x: x0, y: row + 14, 'font-size': 11, fill: palette.muted });
  });
  if (curves.length === 0)
    content += emptyNote(frame, palette, 'needs labelled traces of both kinds');
  return chart(
    size,
    { title: 'ROC curve', description: describe(curves), className: 'roc' },
    options,
    content,
  );
}

function areaText(curve: RocCurve): string {
  const interval =
    curve.low === undefined || curve.high === undefined
      ? ''
      : ` (${curve.low.toFixed(3)}–${curve.high.toFixed(3)})`;
  return `AUC ${curve.area.toFixed(3)}${interval}, ${dataText(curve.data)}`;
}

/** A note in the middle of a chart that has nothing to show. */
export function emptyNote(
  frame: { left: number; right: number; top: number; bottom: number },
  palette: Palette,
  note: string,
): string {
  return text(note, {
    x: (frame.left + frame.right) / 2,
    y: (frame.top + frame.bottom) / 2,
    'text-anchor': 'middle',
    fill: palette.muted,
  });
}

function curveColour(index: number, palette: Palette): string {
  return [palette.anomalous, palette.nominal, palette.unknown, palette.text][index % 4];
}

function stepPath(curve: RocCurve, x: (v: number) => number, y: (v: number) => number): string {
  const points = [...curve.points].sort(
    (a, b) => a.falsePositiveRate - b.falsePositiveRate || a.truePositiveRate - b.truePositiveRate,
  );
  let path = `M${round(x(0))} ${round(y(0))}`;
  for (const point of points) {
    path += `L${round(x(point.falsePositiveRate))} ${round(y(point.truePositiveRate))}`;
  }
  return path;
}

function describe(curves: readonly RocCurve[]): string {
  if (curves.length === 0) return 'No curve: it needs labelled traces of both kinds.';
  return curves.map((curve) => `${curve.name}: ${areaText(curve)}.`).join(' ');
}
