import { encode } from 'fast-png';
import type { ClusterData, ClusterPicture } from '../data/cluster-data.ts';
import { shorten } from '../words/escape.ts';
import { sliceName } from '../words/slice-names.ts';
import { clusterColour } from './cluster-marks.ts';
import { type ChartOptions, chart, element, round, text } from './svg.ts';
import { light } from './theme.ts';

/** More slices than this have no heat map: its cells would be smaller than a pixel. */
export const mostHeatMapSlices = 700;
/** More than this have no names beside it. */
const mostNames = 120;

/**
 * All distances as one picture, in the order of the tree of average linkage, which stands beside
 * it. Dark squares along the diagonal are groups of slices that are alike.
 */
export function renderHeatMap(
  data: ClusterData,
  picture: ClusterPicture,
  options: ChartOptions = {},
): string {
  const palette = options.palette ?? light;
  const count = data.slices.length;
  const order = leafOrder(picture, count);
  const cell = Math.min(16, Math.max(1, Math.floor(560 / Math.max(count, 1))));
  const side = cell * count;
  const hasNames = count <= mostNames && cell >= 9;
  const tree = { left: 8, right: 188 };
  const map = { left: 206, top: 28 };
  const place = (position: number): number => map.top + (position + 0.5) * cell;
  const pixels = `data:image/png;base64,${Buffer.from(paint(picture, order)).toString('base64')}`;
  let content = element('image', {
    href: pixels,
    x: map.left,
    y: map.top,
    width: side,
    height: side,
    preserveAspectRatio: 'none',
    'image-rendering': 'pixelated',
  });
  content += element('path', {
    d: treePath(picture, order, place, tree),
    fill: 'none',
    stroke: palette.muted,
  });
  order.forEach((item, position) => {
    const slice = data.slices[item];
    content += element('rect', {
      x: map.left - 12,
      y: map.top + position * cell,
      width: 8,
      height: cell,
      fill: slice.cluster === undefined ? 'none' : clusterColour(slice.cluster, palette),
    });
    if (!hasNames) return;
    const number = slice.cluster === undefined ? '' : `${slice.cluster + 1}  `;
    content += text(`${number}${shorten(sliceName(slice), 34)}`, {
      x: map.left + side + 8,
      y: place(position) + 3.5,
      'font-size': 10,
    });
  });
  content += scale(map.left, map.top - 16, palette.muted, palette.edge);
  content += text('groups, and where they meet', {
    x: tree.left,
    y: map.top - 10,
    fill: palette.muted,
    'font-size': 11,
  });
  return chart(
    { width: map.left + side + (hasNames ? 240 : 16), height: map.top + side + 12 },
    {
      title: 'Distances between slices',
      description: `${count} slices in the order of the tree of average linkage; the darker, the more alike.`,
      className: 'heat',
    },
    options,
    content,
  );
}

/** The leaves of the tree from top to bottom. */
function leafOrder({ merges }: ClusterPicture, count: number): number[] {
  if (merges.length === 0) return Array.from({ length: count }, (_, i) => i);
  const order: number[] = [];
  const open = [count + merges.length - 1];
  for (let group = open.pop(); group !== undefined; group = open.pop()) {
    if (group < count) order.push(group);
    else open.push(merges[group - count].right, merges[group - count].left);
  }
  return order;
}

/** Brackets: leaves at the right, the whole at the left. */
function treePath(
  { merges }: ClusterPicture,
  order: readonly number[],
  place: (position: number) => number,
  { left, right }: { left: number; right: number },
): string {
  const highest = merges.at(-1)?.height ?? 0;
  const across = (height: number): number =>
    right - (highest === 0 ? 0 : (height / highest) * (right - left));
  const nodes: { x: number; y: number }[] = [];
  order.forEach((item, position) => {
    nodes[item] = { x: right, y: place(position) };
  });
  let path = '';
  merges.forEach(({ left: a, right: b, height }, k) => {
    const [first, second] = [nodes[a], nodes[b]];
    const x = round(across(height));
    path += `M${first.x} ${round(first.y)}H${x}V${round(second.y)}H${second.x}`;
    nodes[order.length + k] = { x, y: (first.y + second.y) / 2 };
  });
  return path;
}

/** A pixel for each pair. @returns PNG */
function paint({ distances }: ClusterPicture, order: readonly number[]): Uint8Array {
  const count = order.length;
  const data = new Uint8Array(count * count * 3);
  let at = 0;
  for (const i of order) {
    for (const j of order) {
      for (const channel of colourOf(distances.at(i, j))) data[at++] = channel;
    }
  }
  return encode({ width: count, height: count, data, channels: 3, depth: 8 });
}

/** From dark blue (the same) to nearly white (nothing in common). */
function colourOf(distance: number): readonly [number, number, number] {
  const t = Math.min(1, Math.max(0, distance));
  return [Math.round(18 + 226 * t), Math.round(52 + 194 * t), Math.round(98 + 150 * t)];
}

function scale(left: number, top: number, muted: string, edge: string): string {
  let out = '';
  for (let i = 0; i < 20; i++) {
    const [r, g, b] = colourOf(i / 19);
    out += element('rect', {
      x: left + 60 + 5 * i,
      y: top,
      width: 5,
      height: 9,
      fill: `rgb(${r},${g},${b})`,
    });
  }
  out += element('rect', {
    x: left + 60,
    y: top,
    width: 100,
    height: 9,
    fill: 'none',
    stroke: edge,
  });
  const label = { y: top + 9, fill: muted, 'font-size': 11 };
  return (
    out +
    text('the same', { ...label, x: left }) +
    text('nothing in common', { ...label, x: left + 166 })
  );
}
