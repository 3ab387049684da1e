import { UserError } from '../../base/errors.ts';
import type { Evaluation } from '../../evaluation/evaluation.ts';
import { type ImageCodeCache, ProcessCode } from '../../evidence/code/process-code.ts';
import { CallFollower } from '../../evidence/follow/call-follower.ts';
import { StackCode } from '../../evidence/follow/stack-code.ts';
import type { AddressSpace } from '../../image/address-space.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { renderTracePicture } from '../../report/charts/trace-picture.ts';
import { detailOf } from '../../report/data/detail-of.ts';
import type { TraceDetail } from '../../report/data/report-data.ts';
import type { Vocabulary } from '../../sequences/vocabulary.ts';
import { instructionsOf } from '../../trace/block-text.ts';
import {
  type CodeReader,
  type PatchContext,
  readPatchContexts,
} from '../../verdict/patch-context.ts';
import { findPatches, type Patch } from '../../verdict/patches.ts';
import {
  type OpenedSample,
  openSample,
  readSourceSample,
  type SampleSource,
  type SourceContext,
} from './source.ts';

const around = 24;
const inside = 64;

export interface LookOptions {
  readonly source: SampleSource;
  readonly unit: 'block' | 'call';
  /** How the recording is read again. */
  readonly traces: SourceContext;
  /** What is known of images, kept from one recording to the next. */
  readonly imageCode?: ImageCodeCache;
  /** Names what the first layer expected. */
  readonly vocabulary: Pick<Vocabulary, 'describeOutput'> | undefined;
  /** Places that are looked at. */
  readonly patches: number;
  readonly withEvidence: boolean;
  /** Of the timeline. */
  readonly bins: number;
  readonly pictures: 'predictions' | 'blocks' | undefined;
  readonly context: RunContext;
}

/**
 * Looks where a trace strayed, and reads its recording again for the names and the code there.
 *
 * @returns `problem`: why the recording could not be read; the places then have no names
 */
export async function lookInto(
  evaluation: Evaluation,
  { source, unit, traces, vocabulary, context, ...options }: LookOptions,
): Promise<{ readonly detail: TraceDetail; readonly problem: string | undefined }> {
  const patches = findPatches(evaluation, {
    most: options.patches,
    withEvidence: options.withEvidence,
  });
  let read: { contexts: PatchContext[]; space: AddressSpace | undefined } | undefined;
  let problem: string | undefined;
  try {
    const sample = await readSourceSample(evaluation.sample.directory, source);
    const opened = await openSample(sample, traces, context.signal);
    read = await readContexts(opened, patches, context, options.imageCode);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    problem = error.message;
  }
  const space = read?.space;
  const picture =
    options.pictures === undefined
      ? undefined
      : await renderTracePicture(evaluation, { by: options.pictures });
  const detail = detailOf(evaluation, {
    patches,
    unit,
    bins: options.bins,
    ...(picture === undefined ? {} : { picture }),
    ...(read === undefined ? {} : { contexts: read.contexts }),
    ...(vocabulary === undefined
      ? {}
      : {
          // Class 0 stands for what has no name.
          className: (c: number) => (c === 0 ? undefined : vocabulary.describeOutput(c)),
        }),
    ...(space === undefined ? {} : { placeName: (address: number) => placeName(space, address) }),
  });
  return { detail, problem };
}

async function readContexts(
  opened: readonly OpenedSample[],
  patches: readonly Patch[],
  context: RunContext,
  imageCode: ImageCodeCache | undefined,
): Promise<{ contexts: PatchContext[]; space: AddressSpace | undefined }> {
  const [trace] = opened;
  // Block indices run on over threads; a patch of a later thread cannot be found by one source.
  if (trace === undefined || opened.length > 1 || patches.length === 0)
    return { contexts: [], space: trace?.space };
  const { callAt = () => undefined } = trace;
  const code =
    trace.space === undefined
      ? { functionAt: callAt, instructions: () => [] }
      : { ...codeReader(trace.space), calls: followCalls(trace, trace.space, imageCode) };
  const contexts = await readPatchContexts(patches, trace.source, code, {
    around,
    inside,
    ...(context.signal === undefined ? {} : { signal: context.signal }),
  });
  if (trace.callAt === undefined) return { contexts, space: trace.space };
  // A call is named by itself, not by a module.
  const named = contexts.map((each) => ({
    ...each,
    blocks: each.blocks.map((block) => ({ ...block, module: '' })),
  }));
  return { contexts: named, space: undefined };
}

function followCalls(
  { source }: OpenedSample,
  space: AddressSpace,
  imageCode: ImageCodeCache | undefined,
): CallFollower {
  const known = new ProcessCode(space, imageCode);
  return new CallFollower(source, { stack: new StackCode(space), known });
}

function codeReader(space: AddressSpace): CodeReader {
  return {
    functionAt: (address) => {
      const symbol = space.symbolAt(address);
      if (symbol === undefined) return undefined;
      return symbol.offset === 0 ? symbol.name : `${symbol.name}+0x${symbol.offset.toString(16)}`;
    },
    instructions: (blocks, block) => instructionsOf(blocks, block, space).map(({ text }) => text),
  };
}

function placeName(space: AddressSpace, address: number): string | undefined {
  const index = space.moduleAt(address);
  const module = space.modules[index];
  if (module === undefined) return undefined;
  const symbol = space.symbolAt(address);
  const hex = (n: number): string => (n === 0 ? '' : `+0x${n.toString(16)}`);
  const name = module.name === '' ? '(unnamed)' : module.name;
  return symbol === undefined
    ? `${name}${hex(address - module.base)}`
    : `${name}!${symbol.name}${hex(symbol.offset)}`;
}
