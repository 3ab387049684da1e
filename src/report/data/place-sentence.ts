import { evidenceNames } from '../words/evidence-names.ts';
import type { ReportTransfer, TraceDetail } from './report-data.ts';

/**
 * The most suspicious place of a trace in one sentence: what happened, from where to where, and
 * where it should have gone.
 *
 * @returns `undefined` when nothing stands out
 */
export function placeSentence({ patches }: TraceDetail): string | undefined {
  const [patch] = patches;
  if (patch === undefined) return undefined;
  const inside = patch.transfers.filter((transfer) => transfer.isInside);
  const proven = inside.find(({ evidence }) => evidence !== undefined && evidence !== 'gap');
  const transfer = proven ?? leastProbable(inside);
  if (transfer === undefined) return patch.inside;
  const { from, came, expected, evidence, cameProbability } = transfer;
  const what = evidence === undefined ? 'improbable transfer' : evidenceNames[evidence].one;
  const rare =
    evidence !== undefined || cameProbability === undefined || cameProbability <= 0
      ? ''
      : ` (${(-Math.log(cameProbability)).toFixed(1)} nats)`;
  const instead = expected === undefined || expected === came ? '' : `, expected ${expected}`;
  return `${what}: ${from === '' ? 'unknown code' : from} to ${came}${instead}${rare}`;
}

function leastProbable(transfers: readonly ReportTransfer[]): ReportTransfer | undefined {
  let least: ReportTransfer | undefined;
  for (const transfer of transfers) {
    const own = transfer.cameProbability ?? 1;
    if (least === undefined || own < (least.cameProbability ?? 1)) least = transfer;
  }
  return least;
}
