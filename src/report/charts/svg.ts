import { escapeMarkup } from '../words/escape.ts';
import { light, type Palette } from './theme.ts';

export type Attributes = Readonly<Record<string, string | number | undefined>>;

/** @param content  markup, already escaped; absent closes the element at once */
export function element(name: string, attributes: Attributes, content?: string): string {
  let open = `<${name}`;
  for (const key in attributes) {
    const value = attributes[key];
    if (value === undefined) continue;
    open += ` ${key}="${typeof value === 'number' ? round(value) : escapeMarkup(value)}"`;
  }
  return content === undefined ? `${open}/>` : `${open}>${content}</${name}>`;
}

/** @param content  plain text */
export function text(content: string, attributes: Attributes): string {
  return element('text', attributes, escapeMarkup(content));
}

/** Two decimals: a hundredth of a pixel is not seen, and the page stays small. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

export interface ChartOptions {
  readonly palette?: Palette;
  /**
   * `file` (default): a document of its own, with fonts and background. `page`: a part of the
   * HTML page, which sets the font and may link into itself.
   */
  readonly target?: 'file' | 'page';
  /** Marks in it are links, so that it is more than a picture. */
  readonly hasLinks?: boolean;
}

/** What every chart has: size, an accessible name and description, a background in files. */
export function chart(
  size: { readonly width: number; readonly height: number },
  names: {
    readonly title: string;
    readonly description: string;
    readonly className?: string;
    readonly margin?: number;
  },
  options: ChartOptions,
  content: string,
): string {
  const isFile = options.target !== 'page';
  const palette = options.palette ?? light;
  // Inside the page the panel around a chart gives it air; a file needs its own.
  const margin = isFile ? (names.margin ?? 0) : 0;
  const [width, height] = [size.width + 2 * margin, size.height + 2 * margin];
  const head =
    element('title', {}, escapeMarkup(names.title)) +
    element('desc', {}, escapeMarkup(names.description));
  return element(
    'svg',
    {
      xmlns: isFile ? 'http://www.w3.org/2000/svg' : undefined,
      width,
      height,
      viewBox: `${-margin} ${-margin} ${width} ${height}`,
      class: names.className,
      role: options.hasLinks === true ? 'group' : 'img',
      'aria-label': names.title,
      'font-family': isFile ? fontFamily : undefined,
      'font-size': 12,
      fill: palette.text,
    },
    head +
      (isFile
        ? element('rect', { x: -margin, y: -margin, width, height, fill: palette.surface })
        : '') +
      content,
  );
}

/** DejaVu Sans is shipped for PNG files; the others are its near relatives elsewhere. */
const fontFamily = "'DejaVu Sans', Verdana, 'Segoe UI', sans-serif";

/** About how wide a text is at 12 px in DejaVu Sans, which is wider than most interface fonts. */
export function textWidth(content: string): number {
  return content.length * 7;
}
