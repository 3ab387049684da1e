import type { PlaceOccurrence, ReportEvidence, ReportPatch } from './report-data.ts';

/** Occurrences of one place that are listed. */
const mostListed = 200;

/**
 * Makes one entry of all patches at the same place of the code: the most suspicious one stands for it, with
 * when the others were.
 *
 * @param patches  most suspicious first
 * @param most  places that are kept
 */
export function foldPatches(patches: readonly ReportPatch[], most: number): ReportPatch[] {
  const byPlace = new Map<string, ReportPatch[]>();
  for (const [index, patch] of patches.entries()) {
    // Where the code was not looked at, nothing says that two places are one.
    const key = patch.fingerprint ?? `#${index}`;
    const same = byPlace.get(key);
    if (same === undefined) byPlace.set(key, [patch]);
    else same.push(patch);
  }
  return [...byPlace.values()].slice(0, most).map((same) => {
    const [first] = same;
    return same.length === 1 ? first : { ...first, occurrences: occurrencesOf(same) };
  });
}

/** In the order of the trace. */
function occurrencesOf(patches: readonly ReportPatch[]): PlaceOccurrence[] {
  return patches
    .map(({ firstBlock, lastBlock, traceOffset, time, score }) => ({
      ...{ firstBlock, lastBlock, traceOffset, time, score },
    }))
    .sort((a, b) => a.firstBlock - b.firstBlock)
    .slice(0, mostListed);
}

/**
 * Makes one entry of all evidence of a kind that goes from one place to another: the first one stands for it,
 * with how many there are and where the last one is.
 */
export function foldEvidence(evidence: readonly ReportEvidence[]): ReportEvidence[] {
  const byPlace = new Map<string, ReportEvidence>();
  for (const [index, item] of evidence.entries()) {
    const { kind, from, to, expected = '' } = item;
    const isKnown = from !== '' || to !== '';
    const key = isKnown ? [kind, from, to, expected].join('\n') : `#${index}`;
    const first = byPlace.get(key);
    byPlace.set(
      key,
      first === undefined
        ? item
        : { ...first, count: first.count + item.count, lastPosition: item.position },
    );
  }
  return [...byPlace.values()];
}
