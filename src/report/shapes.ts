import type { Label } from './report-data.ts';
import { type Attributes, element, round } from './svg.ts';
import type { Palette } from './theme.ts';

/**
 * One trace in a chart: a circle is labelled nominal, a diamond anomalous, a square unlabelled; a
 * filled shape was flagged.
 */
export function traceMark(
  x: number,
  y: number,
  label: Label | undefined,
  isFlagged: boolean,
  palette: Palette,
): string {
  const colour = markColour(label, palette);
  const look: Attributes = {
    fill: isFlagged ? colour : palette.surface,
    'fill-opacity': isFlagged ? 0.85 : 0.6,
    stroke: colour,
    'stroke-width': 1.4,
  };
  if (label === 'nominal') return element('circle', { cx: x, cy: y, r: 3.6, ...look });
  if (label === 'anomalous') {
    return element('path', {
      d: `M${round(x)} ${round(y - 4.8)}l4.8 4.8l-4.8 4.8l-4.8 -4.8z`,
      ...look,
    });
  }
  return element('rect', { x: x - 3.4, y: y - 3.4, width: 6.8, height: 6.8, ...look });
}

export function markColour(label: Label | undefined, palette: Palette): string {
  return label === 'nominal'
    ? palette.nominal
    : label === 'anomalous'
      ? palette.anomalous
      : palette.muted;
}

export function labelText(label: Label | undefined): string {
  return label ?? 'no label';
}
