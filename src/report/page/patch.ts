import { renderCloseup } from '../charts/closeup.ts';
import { variables } from '../charts/theme.ts';
import type { ListingLine, ReportPatch, ReportTransfer } from '../data/report-data.ts';
import { escapeMarkup } from '../words/escape.ts';
import { evidenceNames } from '../words/evidence-names.ts';
import { formatCount, formatNumber, formatPercent } from '../words/numbers.ts';
import { inUnits, type Unit } from '../words/unit.ts';
import { cells } from './cells.ts';
import { code, words } from './html.ts';

const look = { palette: variables, target: 'page' as const };

/** A place where a trace strayed: what ran there, which calls were open, what was expected and what came. */
export function renderPatch(patch: ReportPatch, index: number, id: string, unit: Unit): string {
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
    .map(([part, value]) => (value === undefined ? '' : `<dt>${part}</dt><dd>${code(value)}</dd>`))
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
