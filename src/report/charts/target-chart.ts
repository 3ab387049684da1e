import { scaleLinear } from 'd3-scale';
import { bottomAxis, frameLines, leftAxis } from './axis.ts';
import { type ChartOptions, chart, element, round, text } from './svg.ts';
import { light, type Palette } from './theme.ts';

/** How many sources have how many unique targets, for one sequence length. */
export interface TargetCounts {
  readonly length: number;
  readonly sources: number;
  readonly histogram: readonly (readonly [targets: number, sources: number])[];
}

const lines = [
  { most: 1, name: '1 target' },
  { most: 2, name: 'at most 2', dashes: '6 3' },
  { most: 10, name: 'at most 10', dashes: '2 3' },
] as const;

/** Share of the sources that have at most 1, 2 and 10 unique targets, by sequence length. */
export function renderTargets(
  distributions: readonly TargetCounts[],
  options: ChartOptions = {},
): string {
  const palette: Palette = options.palette ?? light;
  const frame = { left: 56, top: 34, right: 476, bottom: 284 };
  const longest = Math.max(2, distributions.at(-1)?.length ?? 2);
  const x = scaleLinear([1, longest], [frame.left, frame.right]);
  const y = scaleLinear([0, 1], [frame.bottom, frame.top]);
  let content =
    bottomAxis(x, frame, {
      palette,
      title: 'blocks in a sequence',
      format: String,
      count: Math.min(8, longest - 1),
    }) +
    leftAxis(y, frame, {
      palette,
      title: 'share of sources',
      format: (value) => `${Math.round(100 * value)} %`,
      count: 5,
    }) +
    frameLines(frame, palette);
  lines.forEach((line, index) => {
    const points = distributions.map((distribution) => {
      const share = shareWithin(distribution, line.most);
      return `${round(x(distribution.length))} ${round(y(share))}`;
    });
    const look = {
      stroke: [palette.nominal, palette.anomalous, palette.unknown][index],
      'stroke-width': 2,
      'stroke-dasharray': 'dashes' in line ? line.dashes : undefined,
      fill: 'none',
    };
    if (points.length > 0) content += element('path', { d: `M${points.join('L')}`, ...look });
    const left = frame.left + index * 140;
    content += element('path', { d: `M${left} 340h26`, ...look });
    content += text(line.name, { x: left + 34, y: 344 });
  });
  const [first, last] = [distributions[0], distributions.at(-1)];
  const describe = (one: TargetCounts | undefined): string =>
    one === undefined
      ? ''
      : `Length ${one.length}: ${(100 * shareWithin(one, 1)).toFixed(1)} % of ${one.sources} sources have one target. `;
  return chart(
    { width: 500, height: 360 },
    {
      title: 'Unique targets by sequence length',
      description: (describe(first) + describe(last)).trim(),
      className: 'targets',
    },
    options,
    content,
  );
}

/** Share of the sources with at most `most` targets; 0 without sources. */
export function shareWithin({ sources, histogram }: TargetCounts, most: number): number {
  let within = 0;
  for (const [targets, count] of histogram) if (targets <= most) within += count;
  return sources === 0 ? 0 : within / sources;
}
