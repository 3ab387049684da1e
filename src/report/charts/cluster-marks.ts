import { element, text } from './svg.ts';
import type { Palette } from './theme.ts';

/*
 * Middle tones: 3:1 against light and dark surfaces. Numbers say the same, so that colours may
 * come again from the ninth cluster on.
 */
const colours = [
  '#3579bd',
  '#c2571f',
  '#3f8f5f',
  '#8a63c0',
  '#a37a12',
  '#1f8f98',
  '#bb4f86',
  '#6f7d3a',
] as const;

export function clusterColour(cluster: number | undefined, palette: Palette): string {
  return cluster === undefined ? palette.muted : colours[cluster % colours.length];
}

/** A slice in a chart: a circle with the number of its cluster; a small square is in none. */
export function clusterMark(
  x: number,
  y: number,
  cluster: number | undefined,
  palette: Palette,
  isSmall: boolean,
): string {
  const colour = clusterColour(cluster, palette);
  if (cluster === undefined) {
    const side = isSmall ? 5 : 7;
    return element('rect', {
      x: x - side / 2,
      y: y - side / 2,
      width: side,
      height: side,
      fill: palette.surface,
      stroke: colour,
      'stroke-width': 1.4,
    });
  }
  const number = String(cluster + 1);
  return (
    element('circle', {
      cx: x,
      cy: y,
      r: isSmall ? 4 : 8.5,
      fill: palette.surface,
      stroke: colour,
      'stroke-width': 2.4,
    }) +
    (isSmall
      ? ''
      : text(number, {
          x,
          y: y + 3.6,
          'text-anchor': 'middle',
          'font-size': number.length > 2 ? 8 : 10,
        }))
  );
}
