import type { Evidence } from '../flow/evidence.ts';
import type { Evaluation } from './evaluation.ts';
import { evidenceRules } from './evidence-kinds.ts';
import { predictionSeries } from './features.ts';

/** A predicted transfer inside a patch: what the first layer expected, and what came. */
export interface PatchTransfer {
  /** Block index of the block that made the transfer. */
  readonly position: number;
  /** Output class that the first layer thought most probable, and its probability. */
  readonly expected: number;
  readonly confidence: number;
  /** Output class that came (0 = a target that training never saw), and its probability. */
  readonly actual: number;
  /** NaN when the evaluation does not say. */
  readonly probability: number;
  readonly isUnseen: boolean;
}

/** A stretch of a trace that strays. */
export interface Patch {
  /** 1 = the most suspicious. */
  readonly rank: number;
  /** Block index of its first block, and of the one after its last. */
  readonly start: number;
  readonly end: number;
  /** Orders patches: as in `suspicion`, a proof outweighs any surprise. */
  readonly points: number;
  /** Trace offset at or before the first evidence in it, when there is any. */
  readonly traceOffset: number | undefined;
  readonly evidence: readonly Evidence[];
  /** The most surprising transfers in it, in trace order. */
  readonly transfers: readonly PatchTransfer[];
}

export interface PatchOptions {
  /** Patches at most. */
  readonly most: number;
  /** Whether evidence counts, or the first layer alone. */
  readonly withEvidence: boolean;
}

/** Stretches with fewer blocks in between are one patch. */
const joinBlocks = 64;
/** Predictions in a window, and how many windows are looked at. */
const windowLength = 5;
const mostWindows = 32;
/** Transfers that surprise less, in nats (or in confidence of being wrong), do not bound a patch. */
const leastSurprise = 0.5;
const mostTransfers = 16;
const mostEvidence = 256;
const proofPoints = 1000;

/** Something suspicious at a place, before neighbours are joined. */
interface Finding {
  readonly start: number;
  readonly end: number;
  readonly surprise: number;
  readonly evidence: Evidence | undefined;
}

/**
 * Finds the stretches where a trace strays, most suspicious first: places of evidence, and the
 * worst short windows of predictions, joined where they touch or nearly do.
 */
export function findPatches(evaluation: Evaluation, options: PatchOptions): Patch[] {
  const findings = worstWindows(evaluation);
  if (options.withEvidence) {
    for (const item of evaluation.evidence) {
      const rule = evidenceRules[item.kind];
      if (rule.strength === 'damage') continue;
      findings.push({
        start: item.position,
        // The block that made the transfer, and the one that it reached.
        end: Math.min(item.position + 2, evaluation.trace.blocks),
        surprise: 0,
        evidence: item,
      });
    }
  }
  findings.sort((a, b) => a.start - b.start || a.end - b.end);
  const groups: Finding[][] = [];
  let end = Number.NEGATIVE_INFINITY;
  for (const finding of findings) {
    if (finding.start > end + joinBlocks) groups.push([]);
    groups[groups.length - 1].push(finding);
    end = Math.max(end, finding.end);
  }
  const ranked = groups
    .map((group) => ({ group, points: pointsOf(group) }))
    .sort((a, b) => b.points - a.points || a.group[0].start - b.group[0].start)
    .slice(0, options.most);
  return ranked.map(({ group, points }, index) => describe(evaluation, group, points, index + 1));
}

function pointsOf(group: readonly Finding[]): number {
  let proofs = 0;
  let hint = 0;
  let surprise = 0;
  for (const { evidence, surprise: nats } of group) {
    surprise = Math.max(surprise, nats);
    if (evidence === undefined) continue;
    if (evidenceRules[evidence.kind].strength === 'proof') proofs += evidence.count ?? 1;
    else hint = Math.max(hint, evidence.weight ?? 0);
  }
  return (proofs > 0 ? proofPoints * (1 + Math.log(proofs)) : 0) + hint + surprise;
}

function describe(
  evaluation: Evaluation,
  group: readonly Finding[],
  points: number,
  rank: number,
): Patch {
  const { positions, occurrences, predictions, trace } = evaluation;
  const evidence = group.flatMap((finding) => finding.evidence ?? []);
  // Surprising neighbours reach further than a proof itself: a patch with proofs is where those are.
  const proofs = group.filter(
    ({ evidence: item }) => item !== undefined && evidenceRules[item.kind].strength === 'proof',
  );
  const core = proofs.length > 0 ? proofs : group;
  const start = Math.min(...core.map((finding) => finding.start));
  const end = Math.min(Math.max(...core.map((finding) => finding.end)), trace.blocks);
  const inside: { readonly nats: number; readonly transfer: PatchTransfer }[] = [];
  const { nll, wrong } = predictionSeries(evaluation);
  for (let i = firstAtLeast(positions, start); i < positions.length && positions[i] < end; i++) {
    const p = occurrences[i];
    if (wrong[p] === 0 && predictions.unseenTransfer[p] === 0) continue;
    inside.push({
      nats: Number.isNaN(nll[p]) ? predictions.confidence[p] : nll[p],
      transfer: {
        position: positions[i],
        expected: predictions.predicted[p],
        confidence: predictions.confidence[p],
        actual: predictions.actual[p],
        probability: predictions.actualProbability[p],
        isUnseen: predictions.unseenTransfer[p] === 1,
      },
    });
  }
  inside.sort((a, b) => b.nats - a.nats);
  return {
    rank,
    start,
    end,
    points,
    traceOffset: evidence[0]?.traceOffset,
    evidence: evidence.slice(0, mostEvidence),
    transfers: inside
      .slice(0, mostTransfers)
      .map((item) => item.transfer)
      .sort((a, b) => a.position - b.position),
  };
}

/** The windows with the most surprising predictions; windows that overlap a worse one are left out. */
function worstWindows(evaluation: Evaluation): Finding[] {
  const { occurrences, positions, trace } = evaluation;
  const { nll, wrongConfidence } = predictionSeries(evaluation);
  // The ancestor's evaluations do not hold the probability of what came.
  const values = nll.some(Number.isNaN) ? wrongConfidence : nll;
  const n = occurrences.length;
  const sums = new Float64Array(Math.max(0, n - windowLength + 1));
  let sum = 0;
  for (let i = 0; i < n; i++) {
    sum += values[occurrences[i]];
    if (i >= windowLength) sum -= values[occurrences[i - windowLength]];
    if (i >= windowLength - 1) sums[i - windowLength + 1] = sum;
  }
  const findings: Finding[] = [];
  for (const start of highest(sums, mostWindows, windowLength)) {
    // Cut down to where the surprise is: its neighbours may lie thousands of blocks away.
    let first = start;
    let last = start + windowLength - 1;
    while (first <= last && values[occurrences[first]] < leastSurprise) first++;
    while (last > first && values[occurrences[last]] < leastSurprise) last--;
    if (first > last) continue;
    findings.push({
      start: positions[first],
      end: Math.min(positions[last] + 2, trace.blocks),
      surprise: sums[start],
      evidence: undefined,
    });
  }
  return findings;
}

/** @returns indices of the largest values, falling, no two closer than `distance` */
function highest(values: Float64Array, most: number, distance: number): number[] {
  const found: number[] = [];
  const candidates = Array.from({ length: values.length }, (_, i) => i)
    .filter((i) => values[i] > 0 && !(values[i - 1] > values[i]) && !(values[i + 1] > values[i]))
    .sort((a, b) => values[b] - values[a] || a - b);
  for (const index of candidates) {
    if (found.length === most) break;
    if (found.every((other) => Math.abs(other - index) >= distance)) found.push(index);
  }
  return found;
}

/** @returns the first index whose value is at least `wanted`, in ascending `values` */
function firstAtLeast(values: Int32Array, wanted: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
