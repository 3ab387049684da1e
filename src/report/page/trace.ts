import { closeupKey } from '../charts/closeup.ts';
import { variables } from '../charts/theme.ts';
import { renderTimeline, timelineFrame } from '../charts/timeline.ts';
import type { ReportRow, Timeline, TraceDetail } from '../data/report-data.ts';
import { inUnits, type Unit } from '../words/unit.ts';
import { renderComparison } from './comparison.ts';
import { evidenceTable } from './evidence.ts';
import { renderFacts } from './facts.ts';
import { code, words } from './html.ts';
import { verdictMark } from './overview.ts';
import { renderPatch } from './patch.ts';

const key = closeupKey(variables);
const look = { palette: variables, target: 'page' as const };

export interface Neighbours {
  readonly previous: string | undefined;
  readonly next: string | undefined;
  readonly place: number;
  readonly total: number;
}

export interface TracePage {
  readonly id: string;
  /** What the trace is counted in. */
  readonly unit: Unit;
  /** Other traces of the report; `undefined` for a page of one alarm alone. */
  readonly neighbours: Neighbours | undefined;
  /** Above the facts; markup. */
  readonly notes?: string;
}

/** A trace's own page: why, patches, nominal runs beside it, evidence, facts. */
export function renderTracePage(
  row: ReportRow,
  { id, unit, neighbours, notes }: TracePage,
): string {
  const flagged = row.verdict === 'anomalous' ? ' flagged' : '';
  const kind = neighbours === undefined ? 'page' : 'trace';
  return `<section id="${id}" class="${kind}${flagged}" aria-labelledby="${id}-h">${neighbours === undefined ? '' : crumbs(neighbours)}
<div class="head"><h2 id="${id}-h" tabindex="-1">${row.name === '' ? '(no name)' : words(row.name)}</h2>${verdictMark(row)}</div>
<p class="sub">${identity(row)}</p>${recording(row.detail)}${reasons(row)}${notes ?? ''}${row.detail === undefined ? '' : detail(row.detail, id, unit)}
<h3>Facts</h3>${renderFacts(row, unit)}</section>`;
}

function crumbs({ previous, next, place, total }: Neighbours): string {
  const links = [
    ...(previous === undefined ? [] : [`<a href="#${previous}" rel="prev">More suspicious</a>`]),
    ...(next === undefined ? [] : [`<a href="#${next}" rel="next">Less suspicious</a>`]),
  ];
  return `<nav class="crumbs" aria-label="Traces"><a href="#traces">All traces</a><span class="muted">${place} of ${total}, by suspicion</span><span class="next">${links.join(' · ')}</span></nav>`;
}

function identity({ file, label, family, role, verdict }: ReportRow): string {
  return [
    ...(file === '' ? [] : [words(file)]),
    label === undefined
      ? 'no label'
      : `labelled ${label}${family === undefined ? '' : ` (${words(family, 60)})`}`,
    ...(role === 'test' || verdict === undefined ? [] : [`${role} trace`]),
  ].join(' · ');
}

function reasons(row: ReportRow): string {
  if (row.reasons.length === 0) return '';
  const items = row.reasons.map((reason) => `<li>${words(reason, 600)}</li>`);
  return `<ul class="reasons">${items.join('')}</ul>`;
}

/** What ran, and how it was recorded. */
function recording(found: TraceDetail | undefined): string {
  const facts = found?.recording ?? [];
  if (facts.length === 0) return '';
  const items = facts.map(
    ({ name: what, value }) => `<dt>${words(what, 24)}</dt><dd>${code(value)}</dd>`,
  );
  return `<dl class="path">${items.join('')}</dl>`;
}

function detail(found: TraceDetail, id: string, unit: Unit): string {
  const timeline =
    found.timeline === undefined
      ? ''
      : `<h3>Timeline</h3>${timelineBox(found.timeline, found.patches)}`;
  const patches =
    found.patches.length === 0
      ? '<h3>Patches</h3><p class="muted">No stretch of this trace stands out.</p>'
      : `<h3>Patches</h3><p class="key">${key}</p>${found.patches.map((patch, index) => renderPatch(patch, index, `${id}-p${index + 1}`, unit)).join('')}`;
  const comparison = found.nominal === undefined ? '' : renderComparison(found.nominal, unit);
  const isSilent = unit === 'call' && found.evidenceTotal === 0;
  const evidence = isSilent ? '' : evidenceTable(found, unit);
  return timeline + patches + comparison + evidence + picture(found.picture, unit);
}

/** No other picture type comes in: the bytes are ours and go in as base64, never as markup. */
function picture(png: Uint8Array | undefined, unit: Unit): string {
  if (png === undefined) return '';
  const data = Buffer.from(png.buffer, png.byteOffset, png.byteLength).toString('base64');
  return `<h3>All predictions</h3><figure class="panel pixels"><figcaption><span>One pixel a predicted ${inUnits('transfer', unit)}, row by row from the top left: pale was predicted, vermilion was not (the surer the model, the darker), purple was never seen in training.</span></figcaption><img alt="All predictions of the trace as pixels" src="data:image/png;base64,${data}"></figure>`;
}

function timelineBox(timeline: Timeline, patches: TraceDetail['patches']): string {
  const { blocks } = timeline;
  const svg = renderTimeline(timeline, patches, look);
  const axis = /<g class="ticks"><text [^>]*?y="([\d.]+)"/.exec(svg)?.[1] ?? '0';
  const button = (action: string, label: string, shown: string): string =>
    `<button type="button" data-do="${action}" aria-label="${label}">${shown}</button>`;
  return `<div class="panel timeline-box" data-blocks="${Math.max(1, blocks)}" data-left="${timelineFrame.left}" data-right="${timelineFrame.right}" data-axis="${axis}">
<div class="zoom" role="group" aria-label="Zoom the timeline">${button('in', 'Zoom in', '+')}${button('out', 'Zoom out', '−')}${button('left', 'Move left', '←')}${button('right', 'Move right', '→')}${button('whole', 'All: show the whole trace', 'All')}<span aria-live="polite">whole trace</span></div>
<div class="plotbox" tabindex="0" role="group" aria-label="Timeline; plus and minus zoom, arrows move">${svg}</div></div>`;
}
