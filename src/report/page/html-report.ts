import { bySuspicion } from '../data/order.ts';
import type { ReportData, ReportRow } from '../data/report-data.ts';
import { renderReadingPage } from '../words/glossary.ts';
import { renderClustersPage } from './clusters.ts';
import { renderFiguresPage } from './figures.ts';
import { renderFrame } from './frame.ts';
import { renderOverviewPage } from './overview.ts';
import { renderRunPage } from './run.ts';
import { renderTracePage } from './trace.ts';

/** With more flagged traces than this, printing the report prints the overview only. */
const printLimit = 25;

/**
 * One HTML page that holds a whole report: overview, clusters, figures with charts, a page for each
 * trace, a glossary.
 */
export function renderReport(data: ReportData): string {
  const rows = bySuspicion(data.rows);
  // Ids count rows: a name from a trace never becomes an id or a link.
  const idOf = (index: number): string => `t${index + 1}`;
  const ids = new Map<ReportRow, string>(rows.map((row, index) => [row, idOf(index)]));
  const link = (row: ReportRow): string => `#${ids.get(row)}`;
  const flagged = rows.filter((row) => row.verdict === 'anomalous').length;
  const traces = rows.map((row, index) =>
    renderTracePage(row, {
      unit: data.unit,
      id: idOf(index),
      neighbours: {
        previous: index === 0 ? undefined : `t${index}`,
        next: index === rows.length - 1 ? undefined : `t${index + 2}`,
        place: index + 1,
        total: rows.length,
      },
    }),
  );
  const { clusters } = data;
  const byName = new Map(rows.map((row) => [row.name, link(row)]));
  const linkByName = (name: string): string | undefined => byName.get(name);
  return renderFrame({
    title: data.title,
    generator: data.generator,
    created: data.created,
    pages: [
      ['traces', 'Traces'],
      ...(clusters === undefined ? [] : [['clusters', 'Clusters'] as const]),
      ['figures', 'Figures'],
      ['reading', 'How to read'],
      ['run', 'Run'],
    ],
    ...(flagged <= printLimit ? { bodyClass: 'prints-flagged' } : {}),
    content: [
      renderOverviewPage(data, rows, link),
      clusters === undefined ? '' : renderClustersPage(clusters, linkByName),
      renderFiguresPage(data, link),
      renderReadingPage(data.unit),
      renderRunPage(data),
      traces.join('\n'),
    ].join('\n'),
  });
}
