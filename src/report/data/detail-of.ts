import { type Address, formatAddress } from '../../base/address.ts';
import { firstAtLeast } from '../../base/bytes/search.ts';
import { imagePlace } from '../../base/text/image-place.ts';
import type { Evaluation } from '../../evaluation/evaluation.ts';
import { targetSorts } from '../../evidence/transfer-code.ts';
import type { NominalComparison } from '../../likeness/nominal-comparison.ts';
import type { NominalRuns } from '../../likeness/nominal-runs.ts';
import { countedSurprises } from '../../verdict/features/place-surprise.ts';
import type { BlockPlace, PatchBlock, PatchContext } from '../../verdict/patch-context.ts';
import type { Patch } from '../../verdict/patches.ts';
import { sourcesInWords } from '../words/sources.ts';
import type { Unit } from '../words/unit.ts';
import { comparisonOf, nominalBlocks, nominalTransfer } from './comparison-of.ts';
import { foldEvidence, foldPatches } from './fold-places.ts';
import type {
  EvidenceKind,
  Fact,
  ListingLine,
  ReportEvidence,
  ReportPatch,
  ReportTransfer,
  TraceDetail,
} from './report-data.ts';
import { timelineOf } from './timeline-of.ts';

/** What a trace's page is made from beside its evaluation. Only `patches` must be there. */
export interface DetailSources {
  /** From `findPatches`, most suspicious first. */
  readonly patches: readonly Patch[];
  /** Different places that are told; patches at the same one are told together. */
  readonly mostPlaces?: number;
  /** From `readPatchContexts`, for some or all of the patches; without it no instructions are shown. */
  readonly contexts?: readonly PatchContext[];
  /** @returns what an output class stands for, such as `libc.so.6!malloc`; `undefined` when it has no name */
  readonly className?: (target: number) => string | undefined;
  /** @returns what lies at an address of this trace, such as `libc.so.6!malloc+0x31` */
  readonly placeName?: (address: Address) => string | undefined;
  /** @returns as `placeName`, for a place in a file of this trace */
  readonly nameOf?: (module: string, offset: number) => string | undefined;
  /** @returns the line of source at an address of this trace, such as `malloc.c:3301` */
  readonly lineOf?: (address: Address) => string | undefined;
  /** @returns the name before a function that has none itself, which says whose neighbour it is */
  readonly nearOf?: (address: Address) => string | undefined;
  /** How it was recorded. */
  readonly recording?: readonly Fact[];
  /** What nominal runs did, and how this one compares. */
  readonly nominal?: { readonly runs: NominalRuns; readonly comparison: NominalComparison };
  /** What the trace is counted in; default `block`. */
  readonly unit?: Unit;
  /** Bins of the timeline. */
  readonly bins?: number;
  /** From `renderTracePicture`. */
  readonly picture?: Uint8Array;
}

/** Evidence at one block. */
interface Proven {
  readonly kind: EvidenceKind;
  /** Where the transfer should have gone, when that is one place. */
  readonly expected: string | undefined;
}

/** Transfers shown before and after a patch, and inside it at most. */
const around = 15;
const mostInside = 150;
/** Entries of evidence listed. */
const mostEvidence = 200;

/** Puts together what the page of one trace shows beyond its row. */
export function detailOf(evaluation: Evaluation, sources: DetailSources): TraceDetail {
  const { patches, placeName } = sources;
  const blocks = new Map<number, PatchBlock>();
  for (const context of sources.contexts ?? []) {
    for (const block of context.blocks) blocks.set(block.index, block);
  }
  const contextOf = new Map((sources.contexts ?? []).map((context) => [context.patch, context]));
  const evidenceAt = new Map<number, Proven>();
  const named = new Map<Address, string>();
  const at = (address: Address | undefined): string | undefined => {
    if (address === undefined) return undefined;
    const name = named.get(address) ?? placeName?.(address) ?? formatAddress(address);
    named.set(address, name);
    return name;
  };
  for (const { kind, position, expected } of evaluation.evidence) {
    // A transfer can be wrong in several ways; the first one told stands for it.
    if (!evidenceAt.has(position)) evidenceAt.set(position, { kind, expected: at(expected) });
  }
  const evidence = foldEvidence(
    evaluation.evidence.map(
      ({ kind, position, traceOffset, actual, expected, count, nominal }): ReportEvidence => ({
        ...{ kind, position, traceOffset },
        from: blocks.get(position)?.place ?? '',
        to: at(actual) ?? blocks.get(position + 1)?.place ?? '',
        expected: at(expected),
        count: count ?? 1,
        ...(nominal === undefined ? {} : { nominal }),
      }),
    ),
  );
  return {
    timeline: timelineOf(evaluation, sources.bins, sources.unit),
    ...(sources.recording === undefined ? {} : { recording: sources.recording }),
    ...(sources.nominal === undefined
      ? {}
      : { nominal: comparisonOf(sources.nominal.comparison, sources) }),
    ...(sources.picture === undefined ? {} : { picture: sources.picture }),
    patches: foldPatches(
      patches.map((patch) =>
        patchOf(evaluation, patch, contextOf.get(patch), blocks, evidenceAt, sources),
      ),
      sources.mostPlaces ?? patches.length,
    ),
    evidence: evidence.slice(0, mostEvidence),
    evidencePlaces: evidence.length,
    evidenceTotal: evaluation.evidence.length,
  };
}

function patchOf(
  evaluation: Evaluation,
  patch: Patch,
  context: PatchContext | undefined,
  blocks: ReadonlyMap<number, PatchBlock>,
  evidenceAt: ReadonlyMap<number, Proven>,
  sources: DetailSources,
): ReportPatch {
  const isCalls = sources.unit === 'call';
  const shown = context?.blocks ?? [];
  const inside = shown.filter((block) => block.part === 'inside');
  const placed = (at: BlockPlace | undefined): string | undefined => {
    if (at === undefined) return undefined;
    const near = sources.nearOf?.(at.address);
    const more = sources.lineOf?.(at.address) ?? (near === undefined ? undefined : `near ${near}`);
    return more === undefined ? at.place : `${at.place} (${more})`;
  };
  return {
    firstBlock: patch.start,
    lastBlock: Math.max(patch.start, patch.end - 1),
    traceOffset: isCalls ? undefined : (patch.traceOffset ?? context?.traceOffset),
    time: context?.time,
    score: patch.points,
    modules: [...new Set(inside.map((block) => block.module))].filter((name) => name !== ''),
    before: placed(shown.findLast((block) => block.part === 'before')),
    inside: placed(inside[0]),
    after: placed(shown.find((block) => block.part === 'after')),
    ...(context?.openCalls === undefined
      ? {}
      : { callStack: context.openCalls.map((call) => placed(call) ?? '') }),
    ...(inside.length === 0 ? {} : { fingerprint: fingerprintOf(patch, blocks, evidenceAt) }),
    ...(sources.nominal === undefined || inside.length === 0
      ? {}
      : { nominal: nominalBlocks(inside, sources.nominal.runs) }),
    transfers: transfersOf(evaluation, patch, blocks, evidenceAt, sources),
    listing: isCalls ? callsOf(shown) : listingOf(shown, sources.lineOf),
  };
}

function transfersOf(
  evaluation: Evaluation,
  patch: Patch,
  blocks: ReadonlyMap<number, PatchBlock>,
  evidenceAt: ReadonlyMap<number, Proven>,
  sources: DetailSources,
): ReportTransfer[] {
  const { positions, occurrences, predictions } = evaluation;
  const surprises = countedSurprises(evaluation);
  const first = firstAtLeast(positions, patch.start);
  const end = Math.min(firstAtLeast(positions, patch.end), first + mostInside);
  const transfers: ReportTransfer[] = [];
  for (let i = Math.max(0, first - around); i < Math.min(positions.length, end + around); i++) {
    const position = positions[i];
    const p = occurrences[i];
    const actual = predictions.actual[p];
    const predicted = predictions.predicted[p];
    const probability = predictions.actualProbability[p];
    const proven = evidenceAt.get(position);
    const className = sources.className?.(predicted);
    // The trace says exactly where it went; the class is what the model calls that.
    const came = blocks.get(position + 1)?.place ?? sources.className?.(actual);
    transfers.push({
      position,
      isInside: position >= patch.start && position < patch.end,
      from: blocks.get(position)?.place ?? '',
      came:
        came ??
        (actual === 0
          ? `a ${sources.unit === 'call' ? 'call' : 'place'} never seen in training`
          : `class ${actual}`),
      // Where a return must go is a fact; where the model expects it is an opinion.
      expected:
        proven?.expected ?? className ?? (predicted === 0 ? undefined : `class ${predicted}`),
      expectedProbability: proven?.expected === undefined ? predictions.confidence[p] : undefined,
      cameProbability: Number.isNaN(probability) ? undefined : probability,
      ...nominalTransfer(blocks.get(position), blocks.get(position + 1), sources),
      isCorrect: actual === predicted,
      isUnknown: actual === 0 || predictions.unseenTransfer[p] === 1,
      evidence: proven?.kind,
      ...(surprises === undefined
        ? {}
        : { sources: sourcesOf(evaluation, p), surprise: surprises[i] }),
    });
  }
  return transfers;
}

/** What the sources of a prediction said, in words. */
function sourcesOf({ predictions, histories }: Evaluation, prediction: number): string {
  const sources = histories?.sources;
  const at = (values: ArrayLike<number> | undefined): number => values?.[prediction] ?? 0;
  return sourcesInWords({
    sort: targetSorts[at(sources?.sort)] ?? '',
    allowed: at(sources?.count),
    trainedTargets: at(sources?.trainedTargets),
    trainedRuns: at(sources?.trainedCount),
    shown: at(sources?.shownCount),
    nats: -Math.log(Math.max(1e-30, predictions.actualProbability[prediction])),
    scaled: at(sources?.surprise),
  });
}

function listingOf(blocks: readonly PatchBlock[], lineOf: DetailSources['lineOf']): ListingLine[] {
  const lines: ListingLine[] = [];
  let next = blocks[0]?.index ?? 0;
  for (const block of blocks) {
    const { part } = block;
    if (block.index !== next) {
      lines.push({
        part,
        address: '',
        place: '',
        text: `… ${block.index - next} blocks left out …`,
      });
    }
    next = block.index + 1;
    if (block.followsMark) {
      lines.push({
        part,
        address: '',
        place: '',
        text: '… flow was not known, or was interrupted …',
      });
    }
    const line = lineOf?.(block.address);
    const texts = block.instructions.length > 0 ? block.instructions : ['(code not available)'];
    texts.forEach((text, index) => {
      const isFirst = index === 0;
      lines.push({
        part,
        address: isFirst ? formatAddress(block.address) : '',
        place: isFirst ? block.place : '',
        ...(isFirst && line !== undefined ? { line } : {}),
        text,
      });
    });
  }
  return lines;
}

/** A line a call. */
function callsOf(calls: readonly PatchBlock[]): ListingLine[] {
  const lines: ListingLine[] = [];
  let next = calls[0]?.index ?? 0;
  for (const call of calls) {
    const { part, index } = call;
    const tell = (text: string): number => lines.push({ part, address: '', place: '', text });
    if (index !== next) tell(`… ${index - next} calls left out …`);
    if (call.followsMark) tell('… another thread, or calls were lost …');
    lines.push({ part, address: String(index), place: '', text: call.place });
    next = index + 1;
  }
  return lines;
}

/** The transfer that a proof of the patch names, else the one into its first block. */
function fingerprintOf(
  patch: Patch,
  blocks: ReadonlyMap<number, PatchBlock>,
  evidenceAt: ReadonlyMap<number, Proven>,
): string {
  const proven = patch.evidence.find(({ position }) => evidenceAt.has(position));
  const from = proven?.position ?? patch.transfers[0]?.position ?? patch.start;
  const where = (block: PatchBlock | undefined): string => {
    if (block === undefined || block.module === '') return '?';
    return imagePlace(block.module, block.offset);
  };
  return `${where(blocks.get(from))}>${where(blocks.get(from + 1))}`;
}
