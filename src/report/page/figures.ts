import { renderRoc } from '../charts/roc.ts';
import { renderScatter } from '../charts/scatter.ts';
import { renderScores } from '../charts/scores.ts';
import { element } from '../charts/svg.ts';
import { variables } from '../charts/theme.ts';
import type { Figure, ReportData, ReportRow } from '../data/report-data.ts';
import { dataText, figureText, intervalText } from '../words/figure-text.ts';
import { name } from './html.ts';

export function renderFiguresPage(data: ReportData, link: (row: ReportRow) => string): string {
  const look = { palette: variables, target: 'page' as const };
  const table =
    data.figures.length === 0
      ? '<p class="muted">No error rates: they need traces whose label is known.</p>'
      : figureTable(data.figures);
  const scatter = renderScatter(data.rows, data.line, { ...look, link });
  return `<section id="figures" class="page" aria-labelledby="figures-h"><h2 id="figures-h" tabindex="-1">Figures</h2>
<h3>Error rates</h3>${table}
<h3>Charts</h3><div class="panels">
<figure class="panel wide"><figcaption>Scores<span>One mark a trace; filled marks were flagged.</span></figcaption><div class="plotbox" tabindex="0" role="group" aria-label="Scores">${renderScores(data.rows, data.rule, { ...look, link })}</div></figure>
<figure class="panel"><figcaption>ROC<span>What each threshold finds, and what it costs in false alarms.</span></figcaption>${renderRoc(data.roc, look)}</figure>
<figure class="panel"><figcaption>The two classic features<span>How often the model was wrong, and how sure it was then.</span></figcaption>${scatter}</figure>
</div></section>`;
}

function figureTable(figures: readonly Figure[]): string {
  const groups = new Map<string, Figure[]>();
  for (const figure of figures) {
    const group = groups.get(figure.group);
    if (group === undefined) groups.set(figure.group, [figure]);
    else group.push(figure);
  }
  let body = '';
  for (const [group, members] of groups) {
    body += `<tr class="group"><th colspan="6" scope="rowgroup">${name(group)}</th></tr>`;
    for (const figure of members) {
      const traces = figure.total === undefined ? '' : `${figure.count ?? ''} of ${figure.total}`;
      body += `<tr><th scope="row">${name(figure.name)}</th><td class="n">${figureText(figure)}</td><td class="n">${intervalText(figure)}</td><td>${intervalBar(figure)}</td><td class="n">${traces}</td><td><span class="tag ${figure.data}">${dataText(figure.data)}</span></td></tr>`;
    }
  }
  const confidence = figures.find((f) => f.confidence !== undefined)?.confidence ?? 0.95;
  return `<div class="scroll"><table><thead><tr><th scope="col">Figure</th><th scope="col" class="n">Value</th><th scope="col" class="n">${Math.round(confidence * 1000) / 10}&#8239;% interval</th><th scope="col">0 to 1</th><th scope="col" class="n">Traces</th><th scope="col">Measured</th></tr></thead><tbody>${body}</tbody></table></div>`;
}

/** The interval on a line from 0 to 1; the table says the same in numbers, so readers may skip it. */
function intervalBar(figure: Figure): string {
  if (!(figure.value >= 0 && figure.value <= 1)) return '';
  const at = (value: number): number => 4 + value * 132;
  const interval =
    figure.low === undefined || figure.high === undefined
      ? ''
      : element('rect', {
          x: at(figure.low),
          y: 3.5,
          width: Math.max(1, at(figure.high) - at(figure.low)),
          height: 5,
          fill: 'var(--nominal)',
          'fill-opacity': 0.35,
        });
  return element(
    'svg',
    { class: 'interval', viewBox: '0 0 140 12', 'aria-hidden': 'true' },
    `${element('path', { d: 'M4 6H136', stroke: 'var(--line)' })}${interval}${element('rect', { x: at(figure.value) - 1.5, y: 1, width: 3, height: 10, fill: 'var(--nominal)' })}`,
  );
}
