import { evidenceEntries } from '../data/order.ts';
import type { ReportRow } from '../data/report-data.ts';
import { escapeMarkup } from '../words/escape.ts';
import { evidenceNames } from '../words/evidence-names.ts';
import { formatCount, formatNumber, formatPercent, formatProbability } from '../words/numbers.ts';
import { inUnits, type Unit } from '../words/unit.ts';
import { name } from './html.ts';

/** Facts that a log of calls has no counterpart of. */
const factsOfCode = ['Overflows', 'Bytes lost', 'Blocks outside images', 'Ended by an event'];

/** Numbers of a trace. */
export function facts(row: ReportRow, unit: Unit): string {
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

/** What the verdict is made from. */
export function features(row: ReportRow): string {
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
