import { escapeMarkup, shorten } from '../words/escape.ts';

/** Longest string from a trace that a table cell shows; the trace's own page shows more. */
const cellLimit = 56;
const pageLimit = 400;

/** @returns escaped text of at most `limit` characters, with the length told when it was cut */
export function words(text: string, limit: number = pageLimit): string {
  return escapeMarkup(shorten(text, limit));
}

/** A string from a trace as it stands in a cell: cut in the middle, whole (up to a limit) on hover. */
export function name(text: string, limit: number = cellLimit): string {
  if (text === '') return '<span class="name muted">(no name)</span>';
  const cut = shorten(text, limit);
  if (cut === text) return `<span class="name">${escapeMarkup(text)}</span>`;
  return `<span class="name" title="${escapeMarkup(shorten(text, pageLimit))}">${escapeMarkup(cut)}</span>`;
}

/** Code may break after `!`, `::` and `+`, where a reader expects it. */
export function code(text: string, limit: number = pageLimit): string {
  return `<code>${words(text, limit).replace(/!|::|\+(?=0x)/g, (mark) => (mark === '+' ? '<wbr>+' : `${mark}<wbr>`))}</code>`;
}
