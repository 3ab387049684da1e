import type { EvidenceKind } from '../data/report-data.ts';
import { evidenceNames, evidenceOrder } from './evidence-names.ts';
import { formatCount, formatNumber, formatPercent } from './numbers.ts';

const titles: Readonly<Record<string, string>> = {
  mispredictionRate: 'misprediction rate',
  wrongConfidence: 'confidence of wrong predictions',
  nll: 'mean surprise (nats)',
  unknownBlockRate: 'unknown blocks',
  unseenTransferRate: 'transfers never seen in training',
  transfers: 'predicted transfers',
  blocks: 'blocks',
  gaps: 'gaps',
  overflows: 'overflows',
  outsideBlocks: 'blocks outside images',
  crashed: 'ended by an event',
  bytesLost: 'trace bytes lost',
  'sudden-unknown': 'surprise of entering unknown code out of the blue (nats)',
  'hint-weight': 'most far-fetched call (nats)',
};

const series: Readonly<Record<string, string>> = {
  wrong: 'wrong predictions',
  wrongConfidence: 'confidence of wrong predictions',
  nll: 'surprise (nats)',
  unseen: 'transfers never seen in training',
  unknown: 'unknown blocks',
};

/** What a feature of `verdict/features.ts` is called where people read it. */
export function featureTitle(name: string): string {
  const title = titles[name];
  if (title !== undefined) return title;
  const worst = /^worst-(\w+)-(\d+)$/.exec(name);
  if (worst !== null && series[worst[1]] !== undefined) {
    return `${series[worst[1]]}, worst ${worst[2]} in a row`;
  }
  const crowd = /^crowded-(surprise|unseen)-(\d+)$/.exec(name);
  if (crowd !== null) {
    const what =
      crowd[1] === 'unseen' ? 'transfers never seen in training' : 'surprising transfers';
    return `${what} within ${crowd[2]} blocks`;
  }
  const surprise = /^surprise-(\d+)$/.exec(name);
  if (surprise !== null) return `${surprisingPlace(Number(surprise[1]))} (nats)`;
  const kind = evidenceKindOf(name);
  return kind === undefined ? name : `evidence: ${evidenceNames[kind].short}`;
}

function surprisingPlace(length: number): string {
  return length === 1
    ? 'surprise of the most surprising transfer'
    : `surprise of the most surprising ${length} blocks of which no code tells`;
}

/** @returns a sentence about one feature's value, for the reasons of a verdict */
export function featureSentence(name: string, value: number): string {
  const kind = evidenceKindOf(name);
  if (kind !== undefined) {
    const names = evidenceNames[kind];
    return value === 1 ? `One ${names.one}.` : `${formatCount(value)} ${names.many}.`;
  }
  if (name === 'hint-weight') {
    return `An indirect call that its call site does not make, as far as training knows it (${formatNumber(value)} nats).`;
  }
  if (name === 'sudden-unknown') {
    return `Known code led straight into code that training never saw (surprise ${formatNumber(value)} nats).`;
  }
  const surprise = /^surprise-(\d+)$/.exec(name);
  if (surprise !== null) {
    const title = surprisingPlace(Number(surprise[1]));
    return `S${title.slice(1)}: ${formatNumber(value)} nats.`;
  }
  const crowd = /^crowded-(surprise|unseen)-(\d+)$/.exec(name);
  if (crowd !== null) return `${formatNumber(value)} ${featureTitle(name)}.`;
  const worst = /^worst-(\w+)-(\d+)$/.exec(name);
  if (worst?.[1] === 'nll') {
    return `The ${worst[2]} most surprising transfers in a row: ${formatNumber(value)} nats each on average.`;
  }
  const isShare = /Rate$|Confidence|^worst-(?:wrong|unseen|unknown)/.test(name);
  const title = featureTitle(name);
  return `${title[0].toUpperCase()}${title.slice(1)}: ${isShare ? formatPercent(value) : formatNumber(value)}.`;
}

function evidenceKindOf(name: string): EvidenceKind | undefined {
  return evidenceOrder.find((kind) => name === `evidence-${kind}`);
}
