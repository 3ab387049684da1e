import { createHash } from 'node:crypto';
import { words } from './html.ts';
import { pageScript } from './script.ts';
import { pageStyle } from './style.ts';

export interface PageFrame {
  readonly title: string;
  readonly generator: string;
  /** ISO 8601. */
  readonly created: string;
  /** Pages by their id; the first one must be `traces`, which shows when no other one is asked for. */
  readonly pages: readonly (readonly [id: string, name: string])[];
  readonly bodyClass?: string;
  /** Sections, already markup. */
  readonly content: string;
}

/**
 * What every HTML page of ours has around it. It needs no network and no other file; its security
 * policy allows only its own script and style (by hash), so nothing that came in with a name can
 * run.
 */
export function renderFrame(frame: PageFrame): string {
  const title = words(frame.title, 120);
  const policy = `default-src 'none'; img-src data:; style-src '${hash(pageStyle)}'; script-src '${hash(pageScript)}'; base-uri 'none'; form-action 'none'`;
  const links = frame.pages.map(([id, name]) => `<li><a href="#${id}">${words(name)}</a></li>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}"><meta name="color-scheme" content="light dark">
<meta name="generator" content="${words(frame.generator)}"><title>${title}</title>
<link rel="icon" href="data:,"><style>${pageStyle}</style></head>
<body${frame.bodyClass === undefined ? '' : ` class="${frame.bodyClass}"`}><a class="skip" href="#traces">Skip to the content</a>
<header><div class="bar"><h1>${title}</h1><nav aria-label="Pages"><ul>${links.join('')}</ul></nav><button type="button" id="theme" hidden>Dark</button></div></header>
<main>
${frame.content}
</main>
<footer>${words(frame.generator)}, ${words(frame.created)}</footer>
<script>${pageScript}</script></body></html>
`;
}

function hash(source: string): string {
  return `sha256-${createHash('sha256').update(source).digest('base64')}`;
}
