import { scaleLinear } from 'd3-scale';
import type {
  EvidenceKind,
  PlaceOccurrence,
  ReportPatch,
  Timeline,
  TimelineLane,
} from '../data/report-data.ts';
import { shorten } from '../words/escape.ts';
import { evidenceNames, evidenceOrder } from '../words/evidence-names.ts';
import { formatCount } from '../words/numbers.ts';
import { type ChartOptions, chart, element, text } from './svg.ts';
import { light, type Palette } from './theme.ts';

export const timelineFrame = { width: 1000, left: 150, right: 988, top: 26 } as const;
const laneHeight = 44;
const laneGap = 16;
const eventHeight = 16;
/** Events drawn of each kind: more would only paint the lane full. */
const eventLimit = 400;

/** Where things stand, and in which colours. */
interface Plot {
  readonly palette: Palette;
  /** From block index to px. */
  readonly x: (block: number) => number;
  readonly plotWidth: number;
  /** Below the last lane, and below the last row of evidence. */
  readonly lanesEnd: number;
  readonly bottom: number;
}

/** What stands beside the plot, and what in it. */
interface Drawn {
  readonly labels: string;
  readonly plot: string;
}

/**
 * A trace from its first block to its last: one lane a rate, one row a kind of evidence, patches
 * as numbered bands across all of them, at each of the times that the trace strayed there.
 *
 * Everything inside the plot is a nested `svg` of its own, so that zooming only changes view boxes
 * and positions (see `page/script.ts`).
 */
export function renderTimeline(
  timeline: Timeline,
  patches: readonly ReportPatch[],
  options: ChartOptions = {},
): string {
  const palette = options.palette ?? light;
  const { left, right, top, width } = timelineFrame;
  const plotWidth = right - left;
  const scale = scaleLinear([0, Math.max(1, timeline.blocks)], [0, plotWidth]);
  const kinds = evidenceOrder.filter((kind) => timeline.events.some((e) => e.kind === kind));
  const lanesEnd = top + timeline.lanes.length * (laneHeight + laneGap);
  const bottom = lanesEnd + kinds.length * (eventHeight + 6) + (kinds.length > 0 ? 4 : -4);
  const at: Plot = { palette, x: (block) => scale(block), plotWidth, lanesEnd, bottom };
  const rows = [
    ...timeline.lanes.map((lane, index) => drawLane(lane, index, at)),
    ...kinds.map((kind, index) => drawEvidence(kind, index, timeline, at)),
  ];
  const { bands, flags } = drawPatches(patches, at);
  const inPlot = (content: string): string =>
    element(
      'svg',
      { x: left, y: top, width: plotWidth, height: bottom - top, class: 'plot' },
      content,
    );
  const content = [
    inPlot(bands),
    rows.map(({ labels }) => labels).join(''),
    inPlot(rows.map(({ plot }) => plot).join('')),
    element(
      'svg',
      { x: left - 8, y: 2, width: plotWidth + 16, height: 22, class: 'flags' },
      element('g', { transform: 'translate(8 0)' }, flags),
    ),
    element('g', { class: 'ticks' }, drawAxis(scale.ticks(8), at)),
    text(timeline.unit ?? 'block', { x: 0, y: bottom + 16, fill: palette.muted, 'font-size': 11 }),
  ];
  const names = {
    title: 'Timeline of the trace',
    description: describe(timeline, patches),
    className: 'timeline',
    margin: 12,
  };
  return chart({ width, height: bottom + 26 }, names, options, content.join(''));
}

function drawLane(lane: TimelineLane, index: number, { palette, plotWidth }: Plot): Drawn {
  const { left, right, top } = timelineFrame;
  const y = top + index * (laneHeight + laneGap);
  const colour = [palette.anomalous, palette.unknown, palette.nominal][index % 3];
  const ceiling = laneCeiling(lane);
  const area = (values: ArrayLike<number>, opacity: number): string =>
    element('path', { d: areaPath(values, ceiling), fill: colour, 'fill-opacity': opacity });
  const small = { x: 0, y: y + 29, fill: palette.muted, 'font-size': 10.5 };
  return {
    labels:
      text(shorten(lane.name, 20), { x: 0, y: y + 14 }) +
      text(`0 to ${percentText(ceiling)}`, small) +
      element('path', { d: `M${left} ${y + laneHeight + 0.5}H${right}`, stroke: palette.line }),
    plot: element(
      'svg',
      {
        x: 0,
        y: y - top,
        width: plotWidth,
        height: laneHeight,
        viewBox: `0 0 ${lane.mean.length} 100`,
        preserveAspectRatio: 'none',
        'data-bins': lane.mean.length,
      },
      (lane.peak === undefined ? '' : area(lane.peak, 0.28)) + area(lane.mean, 0.85),
    ),
  };
}

function drawEvidence(kind: EvidenceKind, index: number, timeline: Timeline, at: Plot): Drawn {
  const { left, right, top } = timelineFrame;
  const { palette, x, plotWidth, lanesEnd } = at;
  const y = lanesEnd + index * (eventHeight + 6);
  const all = timeline.events.filter((e) => e.kind === kind);
  const marks = thin(all.map((e) => e.position)).map((position) =>
    element('rect', {
      x: Math.min(x(position), plotWidth - 2),
      y: y - top,
      width: 2,
      height: eventHeight,
      fill: kind === 'gap' ? palette.muted : palette.text,
      'data-at': position,
    }),
  );
  return {
    labels:
      text(evidenceNames[kind].short, { x: 0, y: y + 12 }) +
      element('path', { d: `M${left} ${y + eventHeight + 0.5}H${right}`, stroke: palette.line }),
    plot: marks.join(''),
  };
}

/** Low ranks last, so that the most suspicious one is on top. */
function drawPatches(
  patches: readonly ReportPatch[],
  at: Plot,
): { readonly bands: string; readonly flags: string } {
  const ranked = patches.map((patch, index) => ({ patch, rank: index + 1 })).reverse();
  const times = ranked.flatMap(({ patch }) => patch.occurrences ?? [patch]);
  return {
    bands: times.map((time) => drawBand(time, at)).join(''),
    flags: ranked.map(({ patch, rank }) => drawFlag(patch, rank, at)).join(''),
  };
}

function drawBand(
  { firstBlock, lastBlock }: PlaceOccurrence,
  { palette, x, bottom }: Plot,
): string {
  return element('rect', {
    x: x(firstBlock),
    y: 0,
    width: Math.max(3, x(lastBlock + 1) - x(firstBlock)),
    height: bottom - timelineFrame.top,
    fill: palette.patch,
    'data-from': firstBlock,
    'data-to': lastBlock + 1,
  });
}

function drawFlag({ firstBlock }: ReportPatch, rank: number, { palette, x }: Plot): string {
  const number = { x: 0, y: 12, 'text-anchor': 'middle', 'font-size': 10, 'font-weight': 'bold' };
  return element(
    'g',
    {
      transform: `translate(${Math.round(x(firstBlock) * 100) / 100} 0)`,
      'data-at': firstBlock,
    },
    element('path', { d: 'M-7 1h14v13l-7 6l-7 -6z', fill: palette.anomalous }) +
      text(String(rank), { ...number, fill: palette.surface }),
  );
}

function drawAxis(ticks: readonly number[], { palette, x, plotWidth, bottom }: Plot): string {
  return ticks
    .filter((tick) => x(tick) <= plotWidth - 24)
    .map((tick) =>
      text(formatCount(tick), {
        x: timelineFrame.left + x(tick),
        y: bottom + 16,
        'text-anchor': tick === 0 ? 'start' : 'middle',
        fill: palette.muted,
        'font-size': 11,
      }),
    )
    .join('');
}

/** A filled step line over bins of width 1 in a view box 100 high. NaN is a hole. */
function areaPath(values: ArrayLike<number>, ceiling: number): string {
  let path = 'M0 100';
  let held = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    // Anything above zero stays visible: at least one unit.
    const level = value > 0 ? Math.max(2, Math.min(100, Math.round((value / ceiling) * 100))) : 0;
    if (level === held) continue;
    path += `H${i}V${100 - level}`;
    held = level;
  }
  return `${path}H${values.length}V100z`;
}

/** A lane of small rates is drawn against a smaller full scale, which its label names. */
function laneCeiling(lane: TimelineLane): number {
  let top = 0;
  const values = lane.peak ?? lane.mean;
  for (let i = 0; i < values.length; i++) if (values[i] > top) top = values[i];
  for (const ceiling of [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]) if (top <= ceiling) return ceiling;
  return 1;
}

function percentText(rate: number): string {
  return `${Math.round(rate * 100)} %`;
}

function thin(positions: readonly number[]): readonly number[] {
  if (positions.length <= eventLimit) return positions;
  return Array.from(
    { length: eventLimit },
    (_, i) => positions[Math.floor((i * positions.length) / eventLimit)],
  );
}

function describe(timeline: Timeline, patches: readonly ReportPatch[]): string {
  const { unit = 'block' } = timeline;
  const parts = [`${formatCount(timeline.blocks)} ${unit}s from left to right`];
  for (const lane of timeline.lanes) {
    let sum = 0;
    let count = 0;
    for (let i = 0; i < lane.mean.length; i++) {
      if (Number.isNaN(lane.mean[i])) continue;
      sum += lane.mean[i];
      count++;
    }
    parts.push(`${lane.name}: ${((100 * sum) / Math.max(1, count)).toFixed(1)} % on average`);
  }
  for (const kind of evidenceOrder) {
    const count = timeline.events.filter((e) => e.kind === kind).length;
    if (count > 0)
      parts.push(`${count} ${count === 1 ? evidenceNames[kind].one : evidenceNames[kind].many}`);
  }
  patches.slice(0, 5).forEach((patch, index) => {
    parts.push(
      `patch ${index + 1} at ${unit}s ${formatCount(patch.firstBlock)} to ${formatCount(patch.lastBlock)}`,
    );
  });
  return `${parts.join('; ')}.`;
}
