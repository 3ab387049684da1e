import { createHash } from 'node:crypto';
import { renderFiguresPage } from './figures-page.ts';
import { renderReadingPage } from './glossary.ts';
import { words } from './html.ts';
import { bySuspicion } from './order.ts';
import { renderOverviewPage } from './overview-page.ts';
import { pageScript } from './page-script.ts';
import { pageStyle } from './page-style.ts';
import type { ReportData, ReportRow } from './report-data.ts';
import { renderRunPage } from './run-page.ts';
import { renderTracePage } from './trace-page.ts';

/** With more flagged traces than this, printing the report prints the overview only. */
const printLimit = 25;

/**
 * One HTML page that holds a whole report: overview, figures with charts, a page for each trace,
 * a glossary. It needs no network and no other file; its security policy allows only its own
 * script and style (by hash), so nothing that came in with a name can run.
 */
export function renderReport(data: ReportData): string {
  const rows = bySuspicion(data.rows);
  // Ids count rows: a name from a trace never becomes an id or a link.
  const ids = new Map<ReportRow, string>(rows.map((row, index) => [row, `t${index + 1}`]));
  const link = (row: ReportRow): string => `#${ids.get(row)}`;
  const flagged = rows.filter((row) => row.verdict === 'anomalous').length;
  const traces = rows.map((row, index) =>
    renderTracePage(row, {
      id: ids.get(row)!,
      previous: index === 0 ? undefined : `t${index}`,
      next: index === rows.length - 1 ? undefined : `t${index + 2}`,
      place: index + 1,
      total: rows.length,
    }),
  );
  const title = words(data.title, 120);
  const policy = `default-src 'none'; img-src data:; style-src '${hash(pageStyle)}'; script-src '${hash(pageScript)}'; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}"><meta name="color-scheme" content="light dark">
<meta name="generator" content="${words(data.generator)}"><title>${title}</title>
<link rel="icon" href="data:,"><style>${pageStyle}</style></head>
<body${flagged <= printLimit ? ' class="prints-flagged"' : ''}><a class="skip" href="#traces">Skip to the content</a>
<header><div class="bar"><h1>${title}</h1><nav aria-label="Pages"><ul><li><a href="#traces">Traces</a></li><li><a href="#figures">Figures</a></li><li><a href="#reading">How to read</a></li><li><a href="#run">Run</a></li></ul></nav><button type="button" id="theme" hidden>Dark</button></div></header>
<main>
${renderOverviewPage(data, rows, link)}
${renderFiguresPage(data, link)}
${renderReadingPage()}
${renderRunPage(data)}
${traces.join('\n')}
</main>
<footer>${words(data.generator)}, ${words(data.created)}</footer>
<script>${pageScript}</script></body></html>
`;
}

function hash(source: string): string {
  return `sha256-${createHash('sha256').update(source).digest('base64')}`;
}
