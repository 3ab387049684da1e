import type { ReportData } from '../data/report-data.ts';
import { name, words } from './html.ts';

export function renderRunPage(data: ReportData): string {
  const facts = [
    { name: 'Report made', value: data.created },
    { name: 'By', value: data.generator },
    ...data.run,
  ]
    .map((fact) => `<tr><th scope="row">${name(fact.name)}</th><td>${words(fact.value)}</td></tr>`)
    .join('');
  const skipped =
    data.skipped.length === 0
      ? '<p class="muted">None.</p>'
      : `<div class="scroll"><table><thead><tr><th scope="col">Sample</th><th scope="col">Why</th></tr></thead><tbody>${data.skipped
          .map((s) => `<tr><th scope="row">${name(s.name)}</th><td>${words(s.reason)}</td></tr>`)
          .join('')}</tbody></table></div>`;
  return `<section id="run" class="page" aria-labelledby="run-h"><h2 id="run-h" tabindex="-1">Run</h2>
<h3>How this report was made</h3><div class="scroll"><table><tbody>${facts}</tbody></table></div>
<h3>Skipped samples</h3>${skipped}</section>`;
}
