import type { ClusterData, ClusterPicture } from '../data/cluster-data.ts';
import { escapeMarkup } from '../words/escape.ts';
import { familiesOf, sliceName } from '../words/slice-names.ts';
import { clusterMark } from './cluster-marks.ts';
import { type ChartOptions, chart, element, round, text } from './svg.ts';
import { light } from './theme.ts';

/** More marks than this carry no number. */
const mostNumbers = 150;

/**
 * Slices on a map: those that are alike lie close together, as far as two dimensions can show.
 * Slices at the same place are drawn side by side.
 */
export function renderClusterMap(
  data: ClusterData,
  picture: ClusterPicture,
  options: ChartOptions = {},
): string {
  const palette = options.palette ?? light;
  const frame = { left: 24, top: 24, right: 776, bottom: 456 };
  const count = data.slices.length;
  const isSmall = count > mostNumbers;
  const points = spread(place(picture, count, frame), isSmall ? 9 : 18);
  const shares = picture.shares.map((share) => `${Math.round(100 * share)} %`);
  let content = element('path', {
    d: `M${frame.left} ${frame.top}V${frame.bottom}H${frame.right}`,
    fill: 'none',
    stroke: palette.edge,
  });
  content += text(`1st direction, ${shares[0]} of the differences`, {
    x: (frame.left + frame.right) / 2,
    y: frame.bottom + 18,
    'text-anchor': 'middle',
    fill: palette.muted,
    'font-size': 11,
  });
  content += text(`2nd direction, ${shares[1]}`, {
    x: frame.left,
    y: frame.top - 8,
    fill: palette.muted,
    'font-size': 11,
  });
  // Slices in no cluster first, so that they cover nothing.
  const order = data.slices.map((_, i) => i);
  order.sort((a, b) => (data.slices[a].cluster ?? -1) - (data.slices[b].cluster ?? -1) || a - b);
  for (const i of order) {
    const slice = data.slices[i];
    const where = slice.cluster === undefined ? 'in no cluster' : `cluster ${slice.cluster + 1}`;
    const said = escapeMarkup(`${sliceName(slice)}, ${familiesOf([slice]).slice(0, -2)}, ${where}`);
    const { x, y } = points[i];
    content += `<g><title>${said}</title>${clusterMark(x, y, slice.cluster, palette, isSmall)}</g>`;
  }
  return chart(
    { width: 800, height: 488 },
    {
      title: 'Map of the slices',
      description: `${count} slices; those that are alike lie close together. Numbers are clusters; squares are in none.`,
      className: 'map',
    },
    options,
    content,
  );
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** Both axes have the same scale: distances are what the map shows. */
function place(
  { x, y }: ClusterPicture,
  count: number,
  frame: { left: number; top: number; right: number; bottom: number },
): Point[] {
  const range = (values: ArrayLike<number>): [number, number] => {
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < count; i++) {
      low = Math.min(low, values[i]);
      high = Math.max(high, values[i]);
    }
    return [low, high];
  };
  const [left, right] = range(x);
  const [low, high] = range(y);
  const margin = 28;
  const [width, height] = [frame.right - frame.left, frame.bottom - frame.top];
  const scale = Math.min(
    (width - 2 * margin) / Math.max(right - left, 1e-9),
    (height - 2 * margin) / Math.max(high - low, 1e-9),
  );
  // All at one place: in the middle.
  const limited = Math.min(scale, 1e6);
  return Array.from({ length: count }, (_, i) => ({
    x: round(frame.left + width / 2 + (x[i] - (left + right) / 2) * limited),
    y: round(frame.top + height / 2 - (y[i] - (low + high) / 2) * limited),
  }));
}

/** Moves points that lie on each other along a spiral to the next free place. */
function spread(points: readonly Point[], apart: number): Point[] {
  const placed: Point[] = [];
  const cells = new Map<string, Point[]>();
  const cellOf = (v: number): number => Math.floor(v / apart);
  const isFree = ({ x, y }: Point): boolean => {
    for (let dx = -1; dx <= 1; dx++) {
      for (let dy = -1; dy <= 1; dy++) {
        for (const other of cells.get(`${cellOf(x) + dx} ${cellOf(y) + dy}`) ?? []) {
          if (Math.hypot(other.x - x, other.y - y) < apart) return false;
        }
      }
    }
    return true;
  };
  for (const point of points) {
    let best = point;
    for (let step = 0; step < 400 && !isFree(best); step++) {
      const angle = 2.4 * step;
      const radius = 0.55 * apart * Math.sqrt(step);
      best = {
        x: round(point.x + radius * Math.cos(angle)),
        y: round(point.y + radius * Math.sin(angle)),
      };
    }
    placed.push(best);
    const key = `${cellOf(best.x)} ${cellOf(best.y)}`;
    const cell = cells.get(key);
    if (cell === undefined) cells.set(key, [best]);
    else cell.push(best);
  }
  return placed;
}
