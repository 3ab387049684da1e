import { evidenceEntries } from '../data/order.ts';
import type { ReportRow } from '../data/report-data.ts';
import { escapeMarkup } from '../words/escape.ts';
import { evidenceNames } from '../words/evidence-names.ts';
import { formatCount, formatNumber, formatPercent, formatProbability } from '../words/numbers.ts';
import { inUnits, type Unit } from '../words/unit.ts';
import { name, words } from './html.ts';

/** Facts that a log of calls has no counterpart of. */
const factsOfCode = ['Overflows', 'Bytes lost', 'Blocks outside images', 'Ended by an event'];

/** Features told of traces that were not looked into. */
const fewFeatures = 8;

/**
 * Numbers of a trace, and what its verdict is made from. Of those that were not looked into, as most in a
 * large report, in two sentences: tables of them would be most of the page.
 */
export function renderFacts(row: ReportRow, unit: Unit): string {
  const entries = entriesOf(row).filter(
    ([fact]) => unit === 'block' || !factsOfCode.includes(fact),
  );
  if (row.detail === undefined) return briefFacts(entries, row, unit);
  const rows = entries.map(
    ([fact, value]) =>
      `<tr><th scope="row">${escapeMarkup(inUnits(fact, unit))}</th><td class="n">${value}</td></tr>`,
  );
  const folder =
    row.directory === ''
      ? ''
      : `<tr><th scope="row">Folder</th><td>${name(row.directory, 60)}</td></tr>`;
  return `<div class="facts"><table><caption>Trace</caption><tbody>${rows.join('')}${folder}</tbody></table>${featureTable(row.features)}</div>`;
}

function entriesOf(row: ReportRow): [string, string][] {
  return [
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
}

function briefFacts(
  entries: readonly (readonly [string, string])[],
  { features, directory }: ReportRow,
  unit: Unit,
): string {
  const facts = entries.map(([fact, value]) => `${escapeMarkup(inUnits(fact, unit))} ${value}`);
  const folder = directory === '' ? '' : ` Folder: ${name(directory, 60)}.`;
  const unusual = features
    .toSorted((a, b) => (a.pValue ?? 1) - (b.pValue ?? 1))
    .slice(0, fewFeatures)
    .map((f) => `${words(f.name, 80)} ${formatNumber(f.value)} (p ${formatProbability(f.pValue)})`);
  const most =
    unusual.length === 0
      ? ''
      : `<p>${features.length > fewFeatures ? 'The most unusual features' : 'Features'}, each with its p-value alone: ${unusual.join('; ')}.</p>`;
  return `<p>${facts.join('; ')}.${folder}</p>${most}`;
}

function featureTable(features: ReportRow['features']): string {
  if (features.length === 0) return '';
  const rows = features.map(
    (f) =>
      `<tr><th scope="row">${name(f.name)}</th><td class="n">${formatNumber(f.value)}</td><td class="n">${formatProbability(f.pValue)}</td></tr>`,
  );
  return `<table><caption>Features</caption><thead><tr><th scope="col">Feature</th><th scope="col" class="n">Value</th><th scope="col" class="n">p-value alone</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}
