/**
 * Characters that a browser or terminal would act on rather than show: controls, line separators,
 * and format characters such as the bidirectional overrides that make a name read as another one.
 */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const markup = /[&<>"'`]/g;
const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

/**
 * @returns `text` with every unprintable character and unpaired surrogate written as its code
 *   point: U+202E as `\u{202e}`. Nothing else changes; backslashes are not doubled.
 */
export function visible(text: string): string {
  return text.replace(unprintable, (c) => `\\u{${c.codePointAt(0)?.toString(16)}}`).toWellFormed();
}

/** @returns text that is safe in HTML and SVG content and in quoted attribute values */
export function escapeMarkup(text: string): string {
  return visible(text).replace(markup, (c) => entities[c]);
}

/** @returns at most `limit` characters, the middle left out: names differ at both ends */
export function shorten(text: string, limit: number): string {
  const points =
    text.length > limit * 4 ? [...text.slice(0, limit * 2), ...text.slice(-limit * 2)] : [...text];
  if (points.length <= limit) return text;
  const head = Math.ceil((limit - 1) * 0.6);
  return `${points.slice(0, head).join('')}…${points.slice(points.length - (limit - 1 - head)).join('')}`;
}
