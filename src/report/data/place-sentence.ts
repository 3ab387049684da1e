import { evidenceNames } from '../words/evidence-names.ts';
import type { ReportTransfer, TraceDetail } from './report-data.ts';

/**
 * The most suspicious place of a trace in one sentence: what happened, from where to where, and
 * where it should have gone.
 *
 * @returns `undefined` when nothing stands out
 */
export function placeSentence({ patches }: Pick<TraceDetail, 'patches'>): string | undefined {
  const [patch] = patches;
  if (patch === undefined) return undefined;
  const inside = patch.transfers.filter((transfer) => transfer.isInside);
  const transfer = mostSurprising(inside) ?? inside.find(isProven) ?? leastProbable(inside);
  if (transfer === undefined) return patch.inside;
  const { from, came, expected, evidence } = transfer;
  const what = evidence === undefined ? 'improbable transfer' : evidenceNames[evidence].one;
  const instead = expected === undefined || expected === came ? '' : `, expected ${expected}`;
  return `${what}: ${from === '' ? 'unknown code' : from} to ${came}${instead}${howRare(transfer)}`;
}

function howRare({ sources, evidence, cameProbability }: ReportTransfer): string {
  if (sources !== undefined) return ` (${sources})`;
  if (evidence !== undefined || cameProbability === undefined || cameProbability <= 0) return '';
  return ` (${(-Math.log(cameProbability)).toFixed(1)} nats)`;
}

function isProven({ evidence }: ReportTransfer): boolean {
  return evidence !== undefined && evidence !== 'gap';
}

/** Where histories predicted, that is what the verdict rests on, with a proof or without. */
function mostSurprising(transfers: readonly ReportTransfer[]): ReportTransfer | undefined {
  let most: ReportTransfer | undefined;
  for (const transfer of transfers) {
    if ((transfer.surprise ?? 0) > (most?.surprise ?? 0)) most = transfer;
  }
  return most;
}

function leastProbable(transfers: readonly ReportTransfer[]): ReportTransfer | undefined {
  let least: ReportTransfer | undefined;
  for (const transfer of transfers) {
    const own = transfer.cameProbability ?? 1;
    if (least === undefined || own < (least.cameProbability ?? 1)) least = transfer;
  }
  return least;
}
