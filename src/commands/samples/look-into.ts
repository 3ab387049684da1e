import { UserError } from '../../base/errors.ts';
import type { Evaluation } from '../../evaluation/evaluation.ts';
import { type ImageCodeCache, ProcessCode } from '../../evidence/code/process-code.ts';
import { CallFollower } from '../../evidence/follow/call-follower.ts';
import { StackCode } from '../../evidence/follow/stack-code.ts';
import type { AddressSpace } from '../../image/address-space.ts';
import { elfBuildId } from '../../image/files/build-id.ts';
import { FirstArrivals } from '../../likeness/first-arrivals.ts';
import { compareWithNominal } from '../../likeness/nominal-comparison.ts';
import type { NominalRuns } from '../../likeness/nominal-runs.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { NameSources } from '../../names/name-sources.ts';
import { type NamedPlace, PlaceNames } from '../../names/place-names.ts';
import { sourceLines } from '../../names/source-lines.ts';
import { renderTracePicture } from '../../report/charts/trace-picture.ts';
import { type DetailSources, detailOf } from '../../report/data/detail-of.ts';
import type { Fact, TraceDetail } from '../../report/data/report-data.ts';
import type { Vocabulary } from '../../sequences/vocabulary.ts';
import { instructionsOf } from '../../trace/block-text.ts';
import { readRecordingFacts } from '../../trace/recording-facts.ts';
import {
  type CodeReader,
  type PatchBlock,
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

/** Places told of each trace whose verdict is for programs. */
export const patchesForPrograms = 5;

/** Patches looked at, to tell how often a trace strayed at each place. */
const mostPatches = 64;
const around = 24;
const inside = 64;

export interface LookOptions {
  readonly source: SampleSource;
  readonly unit: 'block' | 'call';
  /** What nominal runs did, where the model keeps it. */
  readonly nominalRuns?: NominalRuns | undefined;
  /** How the recording is read again. */
  readonly traces: SourceContext;
  /** What is known of images, kept from one recording to the next. */
  readonly imageCode?: ImageCodeCache;
  /** Names what the first layer expected. */
  readonly vocabulary: Pick<Vocabulary, 'describeOutput' | 'placeOfOutput'> | undefined;
  /** What else names places, kept from one recording to the next. */
  readonly nameSources?: NameSources;
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
  options: LookOptions,
): Promise<{ readonly detail: TraceDetail; readonly problem: string | undefined }> {
  const { source, unit, traces, context, bins, pictures } = options;
  const patches = findPatches(evaluation, {
    most: Math.max(options.patches, mostPatches),
    withEvidence: options.withEvidence,
  });
  let read: Reading = nothing;
  let problem: string | undefined;
  try {
    const sample = await readSourceSample(evaluation.sample.directory, source);
    const opened = await openSample(sample, traces, context.signal);
    read = await readPlaces(opened, patches, options);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    problem = error.message;
  }
  const { contexts, names, nominal } = read;
  const detail = detailOf(evaluation, {
    ...{ patches, contexts, unit, bins, mostPlaces: options.patches },
    ...(pictures === undefined
      ? {}
      : { picture: await renderTracePicture(evaluation, { by: pictures }) }),
    className: (output) => className(output, options.vocabulary, names),
    ...(names === undefined
      ? {}
      : {
          placeName: (address) => names.textAt(address),
          nameOf: (module, offset) => names.textIn(module, offset),
          nearOf: (address) => neighbourOf(names.at(address)),
        }),
    recording: await recordingOf(evaluation.sample.directory, read.program),
    ...(nominal === undefined ? {} : { nominal }),
    ...(await linesOf(read, options)),
  });
  return { detail, problem };
}

/** What reading a recording again gave. */
interface Reading {
  readonly contexts: readonly PatchContext[];
  /** `undefined` where no images are at hand, or the sample is a log of calls. */
  readonly names: PlaceNames | undefined;
  readonly nominal: DetailSources['nominal'];
  /** What was recorded, with its build id. */
  readonly program: string | undefined;
}

const nothing: Reading = {
  ...{ contexts: [], names: undefined, nominal: undefined, program: undefined },
};

async function readPlaces(
  opened: readonly OpenedSample[],
  patches: readonly Patch[],
  { context, imageCode, nameSources = new NameSources(), nominalRuns }: LookOptions,
): Promise<Reading> {
  const [trace] = opened;
  if (trace === undefined) return nothing;
  const { space, source, callAt } = trace;
  const program = space === undefined ? undefined : programIn(space);
  const known = space === undefined ? undefined : new ProcessCode(space, imageCode);
  const names = known === undefined ? undefined : await PlaceNames.open(known, nameSources);
  // Block indices run on over threads; a patch of a later thread cannot be found by one source.
  if (opened.length > 1 || patches.length === 0) return { ...nothing, names, program };
  const code: CodeReader = {
    placeAt: (address) => callAt?.(address) ?? names?.textAt(address),
    instructions: (blocks, block) => instructionsOf(blocks, block, space).map(({ text }) => text),
    ...(space === undefined
      ? {}
      : { calls: new CallFollower(source, { stack: new StackCode(space), known }) }),
  };
  const arrivals = new FirstArrivals();
  const { signal } = context;
  const contexts = await readPatchContexts(patches, source, code, {
    ...{ around, inside },
    ...(nominalRuns === undefined ? {} : { watch: (batch) => arrivals.push(batch) }),
    ...(signal === undefined ? {} : { signal }),
  });
  // A call is named by itself, not by a module.
  const outside = (block: PatchBlock): PatchBlock => ({ ...block, module: '' });
  if (callAt !== undefined) {
    const calls = contexts.map((each) => ({ ...each, blocks: each.blocks.map(outside) }));
    return { ...nothing, contexts: calls };
  }
  const comparison =
    nominalRuns === undefined
      ? undefined
      : compareWithNominal(source.blocks, arrivals, nominalRuns);
  const isCompared = nominalRuns !== undefined && comparison !== undefined;
  const nominal = isCompared ? { runs: nominalRuns, comparison } : undefined;
  return { contexts, names, nominal, program };
}

/** The first file of the process that has code: loaders put the program before its libraries. */
function programIn({ modules, sections }: AddressSpace): string | undefined {
  const section = sections.find(({ module, isExecutable }) => module >= 0 && isExecutable);
  if (section === undefined) return undefined;
  const { path } = modules[section.module];
  const { image } = section;
  const bytes = 'bytes' in image ? image.bytes : undefined;
  const id = bytes instanceof Uint8Array ? elfBuildId(bytes) : undefined;
  return id === undefined ? path : `${path}, build id ${id}`;
}

async function recordingOf(directory: string, program: string | undefined): Promise<Fact[]> {
  const { recorder, commandLine, end } = await readRecordingFacts(directory);
  const facts = [
    ['Command line', commandLine],
    ['Program', program],
    ['Recorded by', recorder],
    ['End', end],
  ] as const;
  return facts.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
}

/** The class of what has no name is 0; a place is called as everywhere in this trace. */
function className(
  output: number,
  vocabulary: LookOptions['vocabulary'],
  names: PlaceNames | undefined,
): string | undefined {
  if (output === 0 || vocabulary === undefined) return undefined;
  const place = vocabulary.placeOfOutput(output);
  const name = place === undefined ? undefined : names?.textIn(place.module, place.offset);
  return name ?? vocabulary.describeOutput(output);
}

/** Only where the place's own name does not tell it already. */
function neighbourOf({ function: known, near }: NamedPlace): string | undefined {
  return known === undefined ? undefined : near;
}

/** Lines of source for all that a page shows, asked for at once. */
async function linesOf(
  { contexts, names }: Reading,
  { nameSources, context }: LookOptions,
): Promise<Pick<DetailSources, 'lineOf'>> {
  if (names === undefined || nameSources?.search === undefined) return {};
  const shown = contexts.flatMap(({ blocks, openCalls = [] }) => [...blocks, ...openCalls]);
  const addresses = shown.map(({ address }) => address);
  const lines = await sourceLines(names, addresses, nameSources.search, context.signal);
  return { lineOf: (address) => lines.get(address) };
}
