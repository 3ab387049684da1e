import { keysOf, recordOf } from '../../base/values.ts';

/** Colours by role. A chart never says something by colour alone: shapes, dashes and words repeat it. */
export interface Palette {
  /** Behind everything. */
  readonly page: string;
  /** Behind tables and charts. */
  readonly surface: string;
  /** Behind table heads, hovered rows, code. */
  readonly tint: string;
  /** Hairlines between rows and grid lines. */
  readonly line: string;
  /** Borders of things that can be operated: 3:1 against the surface. */
  readonly edge: string;
  readonly text: string;
  /** Secondary text: 4.5:1 against page, surface and tint. */
  readonly muted: string;
  readonly link: string;
  readonly nominal: string;
  readonly anomalous: string;
  /** Behind a patch. */
  readonly patch: string;
  readonly unknown: string;
}

/*
 * Blue and vermilion keep apart under every common colour vision deficiency and in grey print
 * (their lightness differs); purple is used only where neither stands beside it.
 */
export const light: Palette = {
  page: '#f6f6f4',
  surface: '#ffffff',
  tint: '#f0f0ec',
  line: '#dededa',
  edge: '#85857f',
  text: '#1c1e21',
  muted: '#5a5f66',
  link: '#1d5a9e',
  nominal: '#2f6fb3',
  anomalous: '#b23a0a',
  patch: '#f7dccf',
  unknown: '#7757a6',
};

export const dark: Palette = {
  page: '#141619',
  surface: '#1b1e22',
  tint: '#24282d',
  line: '#353a41',
  edge: '#767d86',
  text: '#e6e7e9',
  muted: '#a3a9b1',
  link: '#8fc0f5',
  nominal: '#79aeea',
  anomalous: '#f28f66',
  patch: '#4a2c20',
  unknown: '#b99ee6',
};

/** Every role as `var(--role)`: the page sets the variables, so one chart serves light, dark and print. */
export const variables: Palette = recordOf(keysOf(light), (role) => `var(--${role})`);

/** @returns CSS declarations of a palette's variables */
export function declareVariables(palette: Palette): string {
  return Object.entries(palette)
    .map(([role, colour]) => `--${role}:${colour}`)
    .join(';');
}

/**
 * @param a  `#rrggbb`
 * @returns contrast ratio, 1 to 21
 * @see WCAG 2.2, "contrast ratio" and "relative luminance"
 */
export function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

function luminance(colour: string): number {
  const channel = (at: number): number => {
    const c = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}
