import { closeupKey, renderCloseup } from '../charts/closeup.ts';
import { variables } from '../charts/theme.ts';
import { renderTimeline, timelineFrame } from '../charts/timeline.ts';
import { evidenceEntries } from '../data/order.ts';
import type {
  ListingLine,
  ReportComparison,
  ReportEvidence,
  ReportPatch,
  ReportRow,
  ReportTransfer,
  TraceDetail,
} from '../data/report-data.ts';
import { escapeMarkup } from '../words/escape.ts';
import { evidenceNames } from '../words/evidence-names.ts';
import { formatCount, formatNumber, formatPercent, formatProbability } from '../words/numbers.ts';
import { inUnits, type Unit } from '../words/unit.ts';
import { code, name, words } from './html.ts';
import { verdictMark } from './overview.ts';

const key = closeupKey(variables);
const look = { palette: variables, target: 'page' as const };

export interface Neighbours {
  /** What the trace is counted in. */
  readonly unit: Unit;
  readonly id: string;
  readonly previous: string | undefined;
  readonly next: string | undefined;
  readonly place: number;
  readonly total: number;
}

/** A trace's own page: why, facts, timeline, patches, evidence. */
export function renderTracePage(row: ReportRow, at: Neighbours): string {
  const { id, unit } = at;
  const flagged = row.verdict === 'anomalous' ? ' flagged' : '';
  const crumbs = `<nav class="crumbs" aria-label="Traces"><a href="#traces">All traces</a><span class="muted">${at.place} of ${at.total}, by suspicion</span><span class="next">${
    at.previous === undefined ? '' : `<a href="#${at.previous}" rel="prev">More suspicious</a>`
  }${at.previous !== undefined && at.next !== undefined ? ' · ' : ''}${at.next === undefined ? '' : `<a href="#${at.next}" rel="next">Less suspicious</a>`}</span></nav>`;
  const file = row.file === '' ? '' : `${words(row.file)} · `;
  const label =
    row.label === undefined
      ? 'no label'
      : `labelled ${row.label}${row.family === undefined ? '' : ` (${words(row.family, 60)})`}`;
  const role = row.role === 'test' || row.verdict === undefined ? '' : ` · ${row.role} trace`;
  const reasons =
    row.reasons.length === 0
      ? ''
      : `<ul class="reasons">${row.reasons.map((reason) => `<li>${words(reason, 600)}</li>`).join('')}</ul>`;
  return `<section id="${id}" class="trace${flagged}" aria-labelledby="${id}-h">${crumbs}
<div class="head"><h2 id="${id}-h" tabindex="-1">${row.name === '' ? '(no name)' : words(row.name)}</h2>${verdictMark(row)}</div>
<p class="sub">${file}${label}${role}</p>${reasons}${row.detail === undefined ? '' : detail(row.detail, id, unit)}
<h3>Facts</h3><div class="facts">${facts(row, unit)}${features(row)}</div></section>`;
}

function detail(found: TraceDetail, id: string, unit: Unit): string {
  const timeline =
    found.timeline === undefined
      ? ''
      : `<h3>Timeline</h3>${timelineBox(found, found.timeline.blocks)}`;
  const patches =
    found.patches.length === 0
      ? '<h3>Patches</h3><p class="muted">No stretch of this trace stands out.</p>'
      : `<h3>Patches</h3><p class="key">${key}</p>${found.patches.map((patch, index) => renderPatch(patch, index, `${id}-p${index + 1}`, unit)).join('')}`;
  const comparison = found.nominal === undefined ? '' : renderComparison(found.nominal, unit);
  const isSilent = unit === 'call' && found.evidenceTotal === 0;
  const evidence = isSilent ? '' : evidenceTable(found, unit);
  return timeline + patches + comparison + evidence + picture(found.picture, unit);
}

/** The nominal run that is most like it, and where the two part. */
function renderComparison(nominal: ReportComparison, unit: Unit): string {
  const { runs, nearest, similarity, onlyHere, onlyThere, partings, partingsTotal } = nominal;
  const rows = partings.map(({ position, from, to, running }) =>
    cells([
      [inUnits('Block', unit), formatCount(position), 'n'],
      ['From', code(from, 120)],
      ['Left to', code(to, 120)],
      ['Nominal runs that go there', `${formatCount(running)} of ${formatCount(runs)}`, 'n'],
    ]),
  );
  const more = partingsTotal - partings.length;
  const table =
    rows.length === 0
      ? '<p class="muted">It ran no code that the nominal run did not.</p>'
      : `<div class="scroll came"><table><caption class="visually-hidden">Where the two part</caption><thead><tr><th scope="col" class="n">${inUnits('Block', unit)}</th><th scope="col">From</th><th scope="col">Left to</th><th scope="col" class="n">Nominal runs that go there</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>${more > 0 ? `<p class="muted">${formatCount(rows.length)} of the ${formatCount(partingsTotal)} places where it left the other’s code: those that the fewest nominal runs share.</p>` : ''}`;
  return `<h3>Beside the nearest nominal run</h3><p>Of ${formatCount(runs)} nominal runs, ${name(nearest)} ran most of the same code: ${formatPercent(similarity)} of the ${unit}s that either ran, each counted once. ${formatCount(onlyHere)} are only in this trace, ${formatCount(onlyThere)} only in that one.</p>${table}`;
}

/** No other picture type comes in: the bytes are ours and go in as base64, never as markup. */
function picture(png: Uint8Array | undefined, unit: Unit): string {
  if (png === undefined) return '';
  const data = Buffer.from(png.buffer, png.byteOffset, png.byteLength).toString('base64');
  return `<h3>All predictions</h3><figure class="panel pixels"><figcaption><span>One pixel a predicted ${inUnits('transfer', unit)}, row by row from the top left: pale was predicted, vermilion was not (the surer the model, the darker), purple was never seen in training.</span></figcaption><img alt="All predictions of the trace as pixels" src="data:image/png;base64,${data}"></figure>`;
}

function timelineBox(found: TraceDetail, blocks: number): string {
  const svg = renderTimeline(found.timeline!, found.patches, look);
  const axis = /<g class="ticks"><text [^>]*?y="([\d.]+)"/.exec(svg)?.[1] ?? '0';
  const button = (action: string, label: string, shown: string): string =>
    `<button type="button" data-do="${action}" aria-label="${label}">${shown}</button>`;
  return `<div class="panel timeline-box" data-blocks="${Math.max(1, blocks)}" data-left="${timelineFrame.left}" data-right="${timelineFrame.right}" data-axis="${axis}">
<div class="zoom" role="group" aria-label="Zoom the timeline">${button('in', 'Zoom in', '+')}${button('out', 'Zoom out', '−')}${button('left', 'Move left', '←')}${button('right', 'Move right', '→')}${button('whole', 'All: show the whole trace', 'All')}<span aria-live="polite">whole trace</span></div>
<div class="plotbox" tabindex="0" role="group" aria-label="Timeline; plus and minus zoom, arrows move">${svg}</div></div>`;
}

function renderPatch(patch: ReportPatch, index: number, id: string, unit: Unit): string {
  const inside = patch.transfers.filter((t) => t.isInside);
  const told = (inside.length > 0 ? inside : patch.transfers).filter(
    (t) => !t.isCorrect || t.evidence !== undefined,
  );
  const closeup =
    patch.transfers.length === 0
      ? ''
      : `<div class="strip">${renderCloseup(patch.transfers, look)}</div>`;
  return `<article class="patch" id="${id}" aria-labelledby="${id}-h"><h4 id="${id}-h"><b>Patch ${index + 1}</b>${patchFacts(
    patch,
    unit,
  )
    .map((fact) => `<span>${fact}</span>`)
    .join(
      '',
    )}<button type="button" hidden data-zoom="${patch.firstBlock}-${patch.lastBlock}">Show on timeline</button></h4><div>${pathOf(patch)}${occurrences(patch, unit)}${cameTable(told, unit)}${closeup}${listing(patch.listing, unit)}</div></article>`;
}

function patchFacts(patch: ReportPatch, unit: Unit): string[] {
  const length = patch.lastBlock - patch.firstBlock + 1;
  const times = patch.occurrences?.length ?? 1;
  return [
    ...(times > 1 ? [`<b>${formatCount(times)} times</b>, most suspicious at`] : []),
    `${unit}s ${formatCount(patch.firstBlock)} to ${formatCount(patch.lastBlock)} (${formatCount(length)})`,
    ...(patch.traceOffset === undefined ? [] : [`trace byte ${formatCount(patch.traceOffset)}`]),
    ...(patch.time === undefined ? [] : [`time stamp ${formatCount(patch.time)}`]),
    `score ${formatNumber(patch.score)}`,
  ];
}

/** What ran before, inside and after, and which calls were open. */
function pathOf(patch: ReportPatch): string {
  const where = [
    ['before', patch.before],
    ['inside', patch.inside],
    ['after', patch.after],
    ['modules', patch.modules.length === 0 ? undefined : patch.modules.join(', ')],
  ] as const;
  const path = where
    .filter(([, value]) => value !== undefined)
    .map(([part, value]) => `<dt>${part}</dt><dd>${code(value!)}</dd>`)
    .concat(nominalBlocks(patch.nominal), openCalls(patch.callStack ?? []))
    .join('');
  return path === '' ? '' : `<dl class="path">${path}</dl>`;
}

function nominalBlocks(nominal: ReportPatch['nominal']): string[] {
  if (nominal === undefined) return [];
  const { runs, blocks, inAll, inNone } = nominal;
  const words = `of ${formatCount(blocks)} different blocks inside, ${formatCount(inNone)} in 0 of ${formatCount(runs)} runs, ${formatCount(inAll)} in all`;
  return [`<dt>nominal runs</dt><dd>${words}</dd>`];
}

/** When a trace strayed at a place, where that was several times. */
function occurrences({ occurrences: times = [] }: ReportPatch, unit: Unit): string {
  if (times.length === 0) return '';
  const items = times.map(({ firstBlock, lastBlock, time, score }) => {
    const stamp = time === undefined ? '' : `, time stamp ${formatCount(time)}`;
    return `<li>${unit}s ${formatCount(firstBlock)} to ${formatCount(lastBlock)}${stamp}, score ${formatNumber(score)}</li>`;
  });
  return `<details><summary>All ${formatCount(times.length)} times at this place</summary><ol class="times">${items.join('')}</ol></details>`;
}

/** Open calls shown, the youngest ones. */
const callLimit = 16;

function openCalls(stack: readonly string[]): string[] {
  if (stack.length === 0) return [];
  const shown = stack.slice(0, callLimit).map((place) => code(place));
  const more = stack.length - shown.length;
  if (more > 0) shown.push(`<span class="muted">and ${formatCount(more)} more</span>`);
  return [`<dt>open calls, youngest first</dt><dd>${shown.join('<br>')}</dd>`];
}

const transferLimit = 12;

function probability(value: number | undefined): string {
  return value === undefined ? '' : ` <span class="muted">${formatPercent(value)}</span>`;
}

function nominalWords({ runs, going, running }: NonNullable<ReportTransfer['nominal']>): string {
  const of = (count: number): string => `${formatCount(count)} of ${formatCount(runs)}`;
  return `nominal runs: ${of(going)} go this way, ${of(running)} run that place`;
}

/** A row whose cells tell their heads, too: narrow screens show them one below the other. */
function cells(row: readonly (readonly [head: string, text: string, kind?: 'n'])[]): string {
  const shown = row.map(
    ([head, text, kind]) =>
      `<td data-h="${head}"${kind === undefined ? '' : ' class="n"'}>${text}</td>`,
  );
  return `<tr>${shown.join('')}</tr>`;
}

function cameTable(transfers: readonly ReportTransfer[], unit: Unit): string {
  if (transfers.length === 0) return '';
  const rows = transfers
    .slice(0, transferLimit)
    .map((t) => {
      const expected =
        t.expected === undefined
          ? '<span class="muted">a place the model has no name for</span>'
          : `${code(t.expected, 120)}${probability(t.expectedProbability)}`;
      const likely = probability(t.cameProbability);
      const notes = [
        ...(t.sources !== undefined
          ? [escapeMarkup(t.sources)]
          : t.isUnknown
            ? ['never seen in training']
            : []),
        ...(t.evidence === undefined ? [] : [evidenceNames[t.evidence].one]),
        ...(t.nominal === undefined ? [] : [nominalWords(t.nominal)]),
      ].join('; ');
      return cells([
        [inUnits('Block', unit), formatCount(t.position), 'n'],
        ['From', t.from === '' ? '' : code(t.from, 120)],
        ['Expected', expected],
        ['Came', `${code(t.came, 120)}${likely}`],
        ['Note', notes],
      ]);
    })
    .join('');
  const more =
    transfers.length > transferLimit
      ? `<p class="muted">and ${formatCount(transfers.length - transferLimit)} more.</p>`
      : '';
  return `<div class="scroll came"><table><thead><tr><th scope="col" class="n">${inUnits('Block', unit)}</th><th scope="col">From</th><th scope="col">Expected</th><th scope="col">Came</th><th scope="col">Note</th></tr></thead><tbody>${rows}</tbody></table></div>${more}`;
}

function listing(lines: readonly ListingLine[], unit: Unit): string {
  if (lines.length === 0) return '';
  let body = '';
  for (const line of lines) {
    if (line.place !== '') {
      body += `<tr class="place ${line.part}"><td></td><td>${words(line.place, 160)}</td></tr>`;
    }
    body += `<tr class="${line.part}"><td>${words(line.address, 40)}</td><td>${words(line.text, 160)}</td></tr>`;
  }
  const what = unit === 'call' ? 'Calls' : 'Instructions';
  return `<details><summary>${what} before, inside and after</summary><div class="listing" tabindex="0" role="region" aria-label="${what}"><table><thead class="visually-hidden"><tr><th scope="col">${unit === 'call' ? 'Call' : 'Address'}</th><th scope="col">${unit === 'call' ? 'Name' : 'Instruction'}</th></tr></thead><tbody>${body}</tbody></table></div></details>`;
}

/** Rows shown at once; a hijack leaves hundreds alike. */
const evidenceShown = 12;

function evidenceTable(
  { evidence, evidencePlaces, evidenceTotal }: TraceDetail,
  unit: Unit,
): string {
  if (evidenceTotal === 0)
    return '<h3>Evidence</h3><p class="muted">The trace proves nothing against itself.</p>';
  const line = (e: ReportEvidence): string => {
    const inRow = e.lastPosition === undefined ? ' in a row' : '';
    const times = e.count > 1 ? `, ${formatCount(e.count)} times${inRow}` : '';
    const nominal =
      e.nominal === undefined
        ? ''
        : `, in ${formatCount(e.nominal.holding)} of ${formatCount(e.nominal.runs)} nominal runs`;
    const offset = e.traceOffset === undefined ? '–' : formatCount(e.traceOffset);
    const place = (text: string | undefined): string =>
      text === undefined || text === '' ? '' : code(text, 120);
    const last = e.lastPosition === undefined ? '' : ` to ${formatCount(e.lastPosition)}`;
    return cells([
      ['What', `${escapeMarkup(evidenceNames[e.kind].one)}${times}${nominal}`],
      [inUnits('Block', unit), `${formatCount(e.position)}${last}`, 'n'],
      ['Trace byte', offset, 'n'],
      ['From', place(e.from)],
      ['Went to', place(e.to)],
      ['Should have gone to', place(e.expected)],
    ]);
  };
  const table = (list: readonly ReportEvidence[]): string =>
    `<div class="scroll came"><table><thead><tr><th scope="col">What</th><th scope="col" class="n">${inUnits('Block', unit)}</th><th scope="col" class="n">Trace byte</th><th scope="col">From</th><th scope="col">Went to</th><th scope="col">Should have gone to</th></tr></thead><tbody>${list.map(line).join('')}</tbody></table></div>`;
  const rest = evidence.slice(evidenceShown);
  const more =
    rest.length === 0
      ? ''
      : `<details><summary>${formatCount(rest.length)} more</summary>${table(rest)}</details>`;
  const places = evidencePlaces ?? evidenceTotal;
  const unlisted =
    evidence.length < places
      ? `<p class="muted">The first ${formatCount(evidence.length)} of ${formatCount(places)} are listed.</p>`
      : '';
  return `<h3>Evidence</h3>${table(evidence.slice(0, evidenceShown))}${more}${unlisted}`;
}

/** Facts that a log of calls has no counterpart of. */
const factsOfCode = ['Overflows', 'Bytes lost', 'Blocks outside images', 'Ended by an event'];

function facts(row: ReportRow, unit: Unit): string {
  const entries: [string, string][] = [
    ['p-value', formatProbability(row.pValue)],
    ['Score', formatNumber(row.score)],
    ['Misprediction rate', formatPercent(row.mispredictionRate)],
    ['Confidence of wrong predictions', formatPercent(row.wrongConfidence)],
    ['Unknown blocks', formatPercent(row.unknownBlockRate)],
    ['Blocks', formatCount(row.blocks)],
    ['Predictions', formatCount(row.predictions)],
    ['Gaps', formatCount(row.gaps)],
    ['Overflows', formatCount(row.overflows)],
    ['Bytes lost', row.bytesLost === undefined ? '–' : formatCount(row.bytesLost)],
    ['Blocks outside images', formatCount(row.blocksOutsideImages)],
    ['Ended by an event', row.crashed ? 'yes (crashed or killed)' : 'no'],
    ...evidenceEntries(row).map(([kind, count]): [string, string] => [
      `Evidence: ${evidenceNames[kind].short}`,
      formatCount(count),
    ]),
  ];
  const rows = entries
    .filter(([fact]) => unit === 'block' || !factsOfCode.includes(fact))
    .map(
      ([fact, value]) =>
        `<tr><th scope="row">${escapeMarkup(inUnits(fact, unit))}</th><td class="n">${value}</td></tr>`,
    )
    .join('');
  const folder =
    row.directory === ''
      ? ''
      : `<tr><th scope="row">Folder</th><td>${name(row.directory, 60)}</td></tr>`;
  return `<table><caption>Trace</caption><tbody>${rows}${folder}</tbody></table>`;
}

/** Of traces that were not looked into, as of most in a large report. */
const fewFeatures = 8;

function features(row: ReportRow): string {
  if (row.features.length === 0) return '';
  const all = row.features;
  const shown =
    row.detail !== undefined || all.length <= fewFeatures
      ? all
      : all.toSorted((a, b) => (a.pValue ?? 1) - (b.pValue ?? 1)).slice(0, fewFeatures);
  const caption =
    shown === all ? 'Features' : `The ${fewFeatures} most unusual features of ${all.length}`;
  const rows = shown
    .map(
      (f) =>
        `<tr><th scope="row">${name(f.name)}</th><td class="n">${formatNumber(f.value)}</td><td class="n">${formatProbability(f.pValue)}</td></tr>`,
    )
    .join('');
  return `<table><caption>${caption}</caption><thead><tr><th scope="col">Feature</th><th scope="col" class="n">Value</th><th scope="col" class="n">p-value alone</th></tr></thead><tbody>${rows}</tbody></table>`;
}
