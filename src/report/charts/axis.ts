import { element, text } from './svg.ts';
import type { Palette } from './theme.ts';

/** The part of a d3 scale that an axis needs. */
export interface Scale {
  (value: number): number;
  ticks(count: number): number[];
}

export interface Frame {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

interface AxisLook {
  readonly palette: Palette;
  readonly title: string;
  readonly format: (value: number) => string;
  readonly count: number;
}

/** Grid lines, tick labels and a title below the frame. */
export function bottomAxis(scale: Scale, frame: Frame, look: AxisLook): string {
  const { palette } = look;
  let out = '';
  for (const tick of scale.ticks(look.count)) {
    const x = scale(tick);
    out += element('line', { x1: x, x2: x, y1: frame.top, y2: frame.bottom, stroke: palette.line });
    out += text(look.format(tick), {
      x,
      y: frame.bottom + 17,
      'text-anchor': 'middle',
      fill: palette.muted,
      'font-size': 11,
    });
  }
  out += text(look.title, {
    x: (frame.left + frame.right) / 2,
    y: frame.bottom + 36,
    'text-anchor': 'middle',
    fill: palette.text,
  });
  return out;
}

/** Grid lines, tick labels and a horizontal title above the frame: no text stands on its head. */
export function leftAxis(scale: Scale, frame: Frame, look: AxisLook): string {
  const { palette } = look;
  let out = '';
  for (const tick of scale.ticks(look.count)) {
    const y = scale(tick);
    out += element('line', { x1: frame.left, x2: frame.right, y1: y, y2: y, stroke: palette.line });
    out += text(look.format(tick), {
      x: frame.left - 7,
      y: y + 4,
      'text-anchor': 'end',
      fill: palette.muted,
      'font-size': 11,
    });
  }
  out += text(look.title, { x: frame.left, y: frame.top - 12, fill: palette.text });
  return out;
}

/** The axes themselves: left and bottom. */
export function frameLines(frame: Frame, palette: Palette): string {
  return element('path', {
    d: `M${frame.left} ${frame.top}V${frame.bottom}H${frame.right}`,
    fill: 'none',
    stroke: palette.edge,
  });
}
