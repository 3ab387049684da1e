import { firstAtLeast } from '../base/bytes/search.ts';
import type { Evaluation } from '../evaluation/evaluation.ts';
import type { Evidence } from '../evidence/evidence.ts';
import { evidenceRules } from '../evidence/rules.ts';
import { seriesOf } from './features/measurement.ts';
import { countedSurprises, crowdedSurprises } from './features/place-surprise.ts';
import { findSurprises, pointsAtSurprises } from './features/surprises.ts';
import { crowdedSum, crowdLengths, surpriseLengths } from './features/worst-window.ts';
import { pointsOfHint, pointsOfProofs } from './suspicion.ts';

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
}

/** A stretch of a trace that strays. */
export interface Patch {
  /** 1 = the most suspicious. */
  readonly rank: number;
  /** Block index of its first block, and of the one after its last. */
  readonly start: number;
  readonly end: number;
  /** Orders patches by what the verdict rests on. */
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
/** Blocks of the longest stretch in which surprises are counted together. */
const stretch = crowdLengths[crowdLengths.length - 1];
const longestCrowd = surpriseLengths[surpriseLengths.length - 1];
const mostStretches = 32;
/** Surprising transfers that are looked at, the most surprising ones. */
const mostPlaces = 1024;
/** Less than two surprises side by side is no patch, nor is a transfer that surprises no more than this. */
const leastPoints = 1;
const mostTransfers = 16;
const mostEvidence = 256;

/** Something suspicious at a place, before neighbours are joined. */
interface Finding {
  readonly start: number;
  readonly end: number;
  readonly surprise: number;
  /** What it adds where transfers are added up. */
  readonly crowd?: number;
  readonly evidence: Evidence | undefined;
}

/**
 * Finds the stretches where a trace strays, most suspicious first: places of evidence, and where
 * the first layer was surprised most, joined where they touch or nearly do. Points are those of the
 * score that the verdict rests on (`improbability` or `suspicion`), for the patch alone.
 */
export function findPatches(evaluation: Evaluation, options: PatchOptions): Patch[] {
  const byHistories = evaluation.histories !== undefined;
  const findings = byHistories ? surprisingPlaces(evaluation) : surprisingStretches(evaluation);
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
    .map((group) => ({ group, points: byHistories ? natsOfGroup(group) : pointsOf(group) }))
    .sort((a, b) => b.points - a.points || a.group[0].start - b.group[0].start)
    .slice(0, options.most);
  return ranked.map(({ group, points }, index) => describe(evaluation, group, points, index + 1));
}

/** As a verdict by histories: the worst place, or the worst crowd of places. */
function natsOfGroup(group: readonly Finding[]): number {
  const crowd = Float64Array.from(group, ({ crowd: nats = 0 }) => nats);
  const places = Int32Array.from(group, ({ start }) => start);
  return Math.max(worstOf(group), crowdedSum(crowd, places, longestCrowd));
}

function worstOf(group: readonly Finding[]): number {
  return group.reduce((worst, { surprise }) => Math.max(worst, surprise), 0);
}

function pointsOf(group: readonly Finding[]): number {
  let proofs = 0;
  let hint = 0;
  for (const { evidence } of group) {
    if (evidence === undefined) continue;
    if (evidenceRules[evidence.kind].strength === 'proof') proofs += evidence.count ?? 1;
    else hint = Math.max(hint, evidence.weight ?? 0);
  }
  return pointsOfProofs(proofs) + pointsOfHint(hint) + worstOf(group);
}

function describe(
  evaluation: Evaluation,
  group: readonly Finding[],
  points: number,
  rank: number,
): Patch {
  const { positions, occurrences, predictions, trace } = evaluation;
  const evidence = group.flatMap((finding) => finding.evidence ?? []);
  const core = coreOf(group, evaluation.histories !== undefined);
  const start = Math.min(...core.map((finding) => finding.start));
  const end = Math.min(Math.max(...core.map((finding) => finding.end)), trace.blocks);
  const inside: { readonly nats: number; readonly transfer: PatchTransfer }[] = [];
  const { nll, wrong } = seriesOf(evaluation);
  const scaled = countedSurprises(evaluation);
  for (let i = firstAtLeast(positions, start); i < positions.length && positions[i] < end; i++) {
    const p = occurrences[i];
    if (wrong[p] === 0 && predictions.unseenTransfer[p] === 0) continue;
    inside.push({
      nats: scaled?.[i] ?? (Number.isNaN(nll[p]) ? predictions.confidence[p] : nll[p]),
      transfer: {
        position: positions[i],
        expected: predictions.predicted[p],
        confidence: predictions.confidence[p],
        actual: predictions.actual[p],
        probability: predictions.actualProbability[p],
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

/** The findings that a patch is about; their neighbours reach further. */
function coreOf(group: readonly Finding[], byHistories: boolean): readonly Finding[] {
  const proofs = group.filter(
    ({ evidence }) => evidence !== undefined && evidenceRules[evidence.kind].strength === 'proof',
  );
  const worst = worstOf(group);
  if (!byHistories || worst === 0) return proofs.length > 0 ? proofs : group;
  // Half as many nats are no more than company.
  return group.filter(({ surprise }) => surprise > worst / 2);
}

/** Where histories were surprised most, at the scale of the place. */
function surprisingPlaces(evaluation: Evaluation): Finding[] {
  const { positions, trace } = evaluation;
  const nats = countedSurprises(evaluation) ?? new Float64Array(0);
  const crowded = crowdedSurprises(evaluation);
  return Array.from(nats.keys())
    .filter((i) => nats[i] >= leastPoints)
    .sort((a, b) => nats[b] - nats[a] || a - b)
    .slice(0, mostPlaces)
    .map((i) => ({
      start: positions[i],
      end: Math.min(positions[i] + 2, trace.blocks),
      surprise: nats[i],
      crowd: crowded?.[i] ?? 0,
      evidence: undefined,
    }));
}

/** Where the first layer was surprised most; stretches that touch a worse one are left out. */
function surprisingStretches(evaluation: Evaluation): Finding[] {
  const surprises = findSurprises(evaluation);
  const { place, surprise, unseen, sudden } = surprises;
  const points = pointsAtSurprises(surprises);
  const order = Array.from(points, (_, i) => i).sort((a, b) => points[b] - points[a] || a - b);
  const findings: Finding[] = [];
  for (const last of order) {
    if (findings.length === mostStretches || points[last] < leastPoints) break;
    const end = Math.min(place[last] + 2, evaluation.trace.blocks);
    if (
      findings.some((other) => end > other.start - stretch && place[last] < other.end + stretch)
    ) {
      continue;
    }
    let first = last;
    while (first > 0 && place[first - 1] > place[last] - stretch) first--;
    // Cut down to where the surprise is.
    while (first < last && !(surprise[first] > 0.5) && unseen[first] + sudden[first] === 0) first++;
    findings.push({ start: place[first], end, surprise: points[last], evidence: undefined });
  }
  return findings;
}
