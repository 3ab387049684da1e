import type { Evaluation } from '../../evaluation/evaluation.ts';
import { inUnits, type Unit } from '../words/unit.ts';
import type { Timeline } from './report-data.ts';

/** Transfers of the moving window whose worst value is a lane's peak. */
const peakLength = 10;

/**
 * Cuts a trace into bins for its timeline.
 *
 * @param bins  at most this many; no bin is shorter than a block
 */
export function timelineOf(evaluation: Evaluation, bins = 480, unit: Unit = 'block'): Timeline {
  const { occurrences, positions, predictions, unknownRuns, trace, evidence } = evaluation;
  const blocks = Math.max(1, trace.blocks);
  const count = Math.max(1, Math.min(bins, blocks));
  const binOf = (position: number): number =>
    Math.min(count - 1, Math.max(0, Math.floor((position / blocks) * count)));

  const isWrong = new Uint8Array(predictions.length);
  for (let i = 0; i < predictions.length; i++) {
    isWrong[i] = predictions.predicted[i] === predictions.actual[i] ? 0 : 1;
  }
  const total = new Float64Array(count);
  const wrong = new Float64Array(count);
  const peak = new Float32Array(count);
  let inWindow = 0;
  const ordinals = evaluation.histories?.ordinals;
  let first = 0;
  for (let k = 0; k < occurrences.length; k++) {
    const bin = binOf(positions[k]);
    const value = isWrong[occurrences[k]];
    total[bin]++;
    wrong[bin] += value;
    if (ordinals !== undefined) {
      inWindow += value;
      for (; ordinals[first] <= ordinals[k] - peakLength; first++) {
        inWindow -= isWrong[occurrences[first]];
      }
      peak[bin] = Math.max(peak[bin], inWindow / peakLength);
      continue;
    }
    inWindow += value - (k >= peakLength ? isWrong[occurrences[k - peakLength]] : 0);
    const share = inWindow / Math.min(peakLength, k + 1);
    // The first few windows are short; one early miss is not a peak of 100 %.
    if (k >= peakLength - 1 && share > peak[bin]) peak[bin] = share;
  }
  // Transfers that are not listed lie everywhere.
  const all = evaluation.histories?.transfers;
  if (all !== undefined) total.fill(all / count);
  const mean = Float32Array.from(wrong, (sum, bin) =>
    total[bin] === 0 ? Number.NaN : Math.min(1, sum / total[bin]),
  );

  const unknown = new Float64Array(count);
  for (let i = 0; i + 1 < unknownRuns.length; i += 2) {
    // A run may lie across bins: each gets its part.
    let at = unknownRuns[i];
    const end = Math.min(blocks, at + unknownRuns[i + 1]);
    while (at < end) {
      const bin = binOf(at);
      const edge = Math.max(at + 1, Math.min(end, Math.ceil(((bin + 1) * blocks) / count)));
      unknown[bin] += edge - at;
      at = edge;
    }
  }
  const perBin = blocks / count;
  return {
    blocks,
    unit,
    lanes: [
      { name: 'wrong predictions', mean, peak },
      {
        name: inUnits('unknown blocks', unit),
        mean: Float32Array.from(unknown, (sum) => Math.min(1, sum / perBin)),
        peak: undefined,
      },
    ],
    events: evidence.map(({ kind, position }) => ({ kind, position })),
  };
}
