import type { ReportComparison } from '../data/report-data.ts';
import { formatCount, formatPercent } from '../words/numbers.ts';
import { inUnits, type Unit } from '../words/unit.ts';
import { cells } from './cells.ts';
import { code, name } from './html.ts';

/** The nominal run that is most like it, and where the two part. */
export function renderComparison(nominal: ReportComparison, unit: Unit): string {
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
