import type { Label } from '../data/label.ts';
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
  scale = 1,
): string {
  const colour =
    label === 'nominal'
      ? palette.nominal
      : label === 'anomalous'
        ? palette.anomalous
        : palette.muted;
  const look: Attributes = {
    fill: isFlagged ? colour : palette.surface,
    'fill-opacity': isFlagged ? 0.85 : 0.6,
    stroke: colour,
    'stroke-width': 1.4 * scale,
  };
  if (label === 'nominal') return element('circle', { cx: x, cy: y, r: 3.6 * scale, ...look });
  if (label === 'anomalous') {
    const r = round(4.8 * scale);
    return element('path', {
      d: `M${round(x)} ${round(y - r)}l${r} ${r}l${-r} ${r}l${-r} ${-r}z`,
      ...look,
    });
  }
  const side = 6.8 * scale;
  return element('rect', { x: x - side / 2, y: y - side / 2, width: side, height: side, ...look });
}

/** Many marks are drawn smaller, so that they cover each other less. */
export function markScale(marks: number): number {
  return marks > 400 ? 0.7 : marks > 150 ? 0.85 : 1;
}

export function labelText(label: Label | undefined): string {
  return label ?? 'no label';
}
