import { columnOf, featureTable, type Measure } from '../../verdict/features/feature-table.ts';
import { evidenceNames } from './evidence-names.ts';
import { formatCount, formatNumber, formatPercent } from './numbers.ts';

const series = {
  wrong: 'wrong predictions',
  wrongConfidence: 'confidence of wrong predictions',
  nll: 'surprise (nats)',
  unseen: 'transfers never seen in training',
  unknown: 'unknown blocks',
};

const means = {
  wrong: 'misprediction rate',
  nll: 'mean surprise (nats)',
  unseen: series.unseen,
};

const counts = {
  transfers: 'predicted transfers',
  blocks: 'blocks',
  gaps: 'gaps',
  overflows: 'overflows',
  outsideBlocks: 'blocks outside images',
  bytesLost: 'trace bytes lost',
};

/** @returns what a feature of the table is called where people read it; a name that is none stays */
export function featureTitle(name: string): string {
  const measure = measureOf(name);
  return measure === undefined ? name : titleOf(measure);
}

function measureOf(name: string): Measure | undefined {
  const column = columnOf(name);
  return column === undefined ? undefined : featureTable[column].measure;
}

function titleOf(measure: Measure): string {
  switch (measure.of) {
    case 'mean':
      return means[measure.series];
    case 'confidence':
      return series.wrongConfidence;
    case 'unknown-blocks':
      return series.unknown;
    case 'worst':
      return `${series[measure.series]}, worst ${measure.length} in a row`;
    case 'crowd': {
      const what = measure.series === 'unseen' ? series.unseen : 'surprising transfers';
      return `${what} within ${measure.blocks} blocks`;
    }
    case 'sudden':
      return 'surprise of entering unknown code out of the blue (nats)';
    case 'surprise':
      return `${surprisingPlace(measure.blocks)} (nats)`;
    case 'count':
      return counts[measure.what];
    case 'crash':
      return 'ended by an event';
    case 'evidence':
      return `evidence: ${evidenceNames[measure.kind].short}`;
    case 'hint':
      return 'most far-fetched call (nats)';
  }
}

function surprisingPlace(blocks: number): string {
  return blocks === 1
    ? 'surprise of the most surprising transfer'
    : `surprise of the most surprising ${blocks} blocks of which no code tells`;
}

/** @returns a sentence about one feature's value, for the reasons of a verdict */
export function featureSentence(name: string, value: number): string {
  const measure = measureOf(name);
  if (measure === undefined) return titled(name, formatNumber(value));
  switch (measure.of) {
    case 'evidence': {
      const { one, many } = evidenceNames[measure.kind];
      return value === 1 ? `One ${one}.` : `${formatCount(value)} ${many}.`;
    }
    case 'hint':
      return `An indirect call that its call site does not make, as far as training knows it (${formatNumber(value)} nats).`;
    case 'sudden':
      return `Known code led straight into code that training never saw (surprise ${formatNumber(value)} nats).`;
    case 'surprise':
      return titled(surprisingPlace(measure.blocks), `${formatNumber(value)} nats`);
    case 'crowd':
      return `${formatNumber(value)} ${titleOf(measure)}.`;
    case 'worst':
      if (measure.series !== 'nll') return titled(titleOf(measure), formatPercent(value));
      return `The ${measure.length} most surprising transfers in a row: ${formatNumber(value)} nats each on average.`;
    default:
      return titled(
        titleOf(measure),
        isShare(measure) ? formatPercent(value) : formatNumber(value),
      );
  }
}

function titled(title: string, value: string): string {
  return `${title[0].toUpperCase()}${title.slice(1)}: ${value}.`;
}

function isShare(measure: Measure): boolean {
  if (measure.of === 'mean') return measure.series !== 'nll';
  return measure.of === 'confidence' || measure.of === 'unknown-blocks';
}
