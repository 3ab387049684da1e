import type { ReportEvidence, TraceDetail } from '../data/report-data.ts';
import { escapeMarkup } from '../words/escape.ts';
import { evidenceNames } from '../words/evidence-names.ts';
import { formatCount } from '../words/numbers.ts';
import { inUnits, type Unit } from '../words/unit.ts';
import { cells } from './cells.ts';
import { code } from './html.ts';

/** Rows shown at once; a hijack leaves hundreds alike. */
const evidenceShown = 12;

/** What the trace proves against itself, an entry a place. */
export function evidenceTable(
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
