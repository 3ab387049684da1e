import type { FileHandle } from 'node:fs/promises';
import { UserError } from '../base/errors.ts';
import { appendSync, writeFileParts } from '../base/files/write.ts';
import { version } from '../base/version.ts';
import { evaluationsIn } from '../evaluation/folder.ts';
import { CallFollower } from '../evidence/follow/call-follower.ts';
import { StackCode } from '../evidence/follow/stack-code.ts';
import type { BlockBatch, BlockTable } from '../flow/blocks.ts';
import { CodeCache } from '../flow/code-cache.ts';
import type { RunContext } from '../model/first-layer.ts';
import type { PlaceNames } from '../names/place-names.ts';
import {
  type CallTimeline,
  CallTimelineBuilder,
  type FlaggedStretch,
  type Stretch,
  type TimelineFrame,
} from '../report/export/call-timeline.ts';
import { type Coverage, type CoveredModule, renderDrcov } from '../report/export/drcov.ts';
import { renderFolded } from '../report/export/folded.ts';
import { renderGecko } from '../report/export/gecko.ts';
import { renderPerfetto } from '../report/export/perfetto.ts';
import { renderSpeedscope } from '../report/export/speedscope.ts';
import type { OpenedTrace } from '../trace/open-trace.ts';
import { readSample } from '../trace/sample.ts';
import { findPatches } from '../verdict/patches.ts';
import { findEvaluations } from './run/path.ts';
import { type NamedTrace, TraceOpener, type TraceReading } from './samples/opened-traces.ts';

export const exportFormats = ['drcov', 'perfetto', 'speedscope', 'gecko', 'folded'] as const;
export type ExportFormat = (typeof exportFormats)[number];

export interface ExportOptions extends TraceReading {
  /** A sample's folder. */
  readonly sample: string;
  readonly format: ExportFormat;
  /** File to write. */
  readonly out: string;
  /** Leave out what lies outside. */
  readonly blocks?: Stretch | undefined;
  /** Run whose evaluation of the sample says what is flagged. */
  readonly run?: string | undefined;
  /** Leave out what lies further from this place than `around` blocks; 1 = the most suspicious. */
  readonly patch?: number | undefined;
  /** Blocks before and after a patch, of call timelines. */
  readonly around: number;
  /** Samples whose blocks are left out; of drcov. */
  readonly without: readonly string[];
}

export interface ExportResult {
  readonly out: string;
  readonly format: ExportFormat;
  /** Executed blocks in what was written, and how many different ones. */
  readonly blocks: number;
  readonly distinctBlocks: number;
  readonly flagged: readonly FlaggedStretch[];
}

/** Places of a whole run that are marked. */
const mostFlagged = 8;
/** Openings and closings of calls that are kept in memory. */
const mostEvents = 20_000_000;

/**
 * Writes a run, or a stretch of it, for another tool.
 *
 * @throws UserError; `no-such-patch`, `nothing-to-export`, `export-too-large`
 */
export async function exportSample(
  options: ExportOptions,
  context: RunContext,
): Promise<ExportResult> {
  const { format, out } = options;
  const flagged = await findFlagged(options);
  const stretch = stretchOf(options, flagged);
  const codeCache = new CodeCache();
  const opener = new TraceOpener(options, codeCache);
  try {
    const counts = { blocks: 0, distinctBlocks: 0 };
    let pieces: Iterable<string | Uint8Array>;
    if (format === 'drcov') {
      const others = new Set<string>();
      for (const other of options.without) {
        await readCoverage(await opener.open(other), everything, others, undefined, context);
      }
      const seen = new Set<string>();
      const traces = await opener.open(options.sample);
      const { coverage, blocks } = await readCoverage(traces, stretch, seen, others, context);
      counts.blocks = blocks;
      counts.distinctBlocks = coverage.blocks.length;
      pieces = renderDrcov(coverage);
    } else {
      const traces = await opener.openNamed(options.sample);
      const { timeline, distinct } = await readTimeline(traces, stretch, flagged, context);
      counts.blocks = timeline.end - timeline.start;
      counts.distinctBlocks = distinct;
      pieces = renderTimeline(format, timeline);
    }
    if (counts.blocks === 0) {
      const message = 'no block ran in the stretch that was asked for';
      throw new UserError('nothing-to-export', message, {
        category: 'arguments',
        path: options.sample,
      });
    }
    await writeFileParts(out, async (file) => writePieces(file, out, pieces));
    return { out, format, ...counts, flagged };
  } finally {
    codeCache.dispose();
  }
}

const everything: Stretch = { start: 0, end: Number.POSITIVE_INFINITY };

async function writePieces(
  file: FileHandle,
  out: string,
  pieces: Iterable<string | Uint8Array>,
): Promise<boolean> {
  for (const piece of pieces) {
    appendSync(file, out, typeof piece === 'string' ? Buffer.from(piece) : piece);
  }
  return true;
}

function renderTimeline(
  format: Exclude<ExportFormat, 'drcov'>,
  timeline: CallTimeline,
): Iterable<string> {
  if (format === 'perfetto') return renderPerfetto(timeline, `Wayward ${version}`);
  if (format === 'speedscope') return renderSpeedscope(timeline, `wayward@${version}`);
  if (format === 'gecko') return renderGecko(timeline, `Wayward ${version}`);
  return renderFolded(timeline);
}

/** @returns the places that an evaluation of the sample flags: the one asked for, or the first ones */
async function findFlagged({
  sample,
  run,
  patch,
  preprocessed,
}: ExportOptions): Promise<readonly FlaggedStretch[]> {
  if (run === undefined) return [];
  const { directory, name } = await readSample(sample, preprocessed ? 'preprocessed' : 'any');
  const { evaluation: folder } = await findEvaluations(run);
  let unread = '';
  for await (const entry of evaluationsIn(folder)) {
    if ('skipped' in entry) {
      unread ||= `; ${entry.path} could not be read: ${entry.skipped}`;
      continue;
    }
    if (entry.value.sample.name !== name) continue;
    const most = Math.max(mostFlagged, patch ?? 0);
    const patches = findPatches(entry.value, { most, withEvidence: true });
    const flagged = patches.map(({ rank, start, end }) => ({ name: `patch ${rank}`, start, end }));
    if (patch === undefined) return flagged;
    if (patch <= flagged.length) return [flagged[patch - 1]];
    const message = `${run} flags ${flagged.length} places of it: there is no patch ${patch}`;
    throw new UserError('no-such-patch', message, { category: 'arguments', path: directory });
  }
  throw new UserError('no-such-sample', `holds no evaluation of ${name}${unread}`, {
    category: 'input',
    path: folder,
  });
}

function stretchOf(
  { blocks, patch, around, format }: ExportOptions,
  flagged: readonly FlaggedStretch[],
): Stretch {
  if (blocks !== undefined) return blocks;
  const [place] = flagged;
  if (patch === undefined || place === undefined) return everything;
  const more = format === 'drcov' ? 0 : around;
  return { start: Math.max(0, place.start - more), end: place.end + more };
}

/** Tells a reader that all it wanted was read. */
const enough = new Error('the stretch has ended');

/**
 * Runs the traces of a sample, whose block indices run on from one to the next.
 *
 * @param take  gets each batch and the index of its first block
 */
async function runTraces<Trace extends OpenedTrace>(
  traces: readonly Trace[],
  stretch: Stretch,
  context: RunContext,
  begin: (trace: Trace, first: number) => (batch: BlockBatch, first: number) => void,
): Promise<void> {
  let position = 0;
  for (const trace of traces) {
    if (position >= stretch.end) return;
    const take = begin(trace, position);
    const stop = new AbortController();
    const signals = context.signal === undefined ? [] : [context.signal];
    try {
      await trace.source.run(
        (batch) => {
          if (position >= stretch.end) return;
          take(batch, position);
          for (let i = 0; i < batch.length; i++) if (batch.entries[i] >= 0) position++;
          if (position >= stretch.end) stop.abort(enough);
        },
        { signal: AbortSignal.any([stop.signal, ...signals]) },
      );
    } catch (error) {
      if (error !== enough) throw error;
    }
  }
}

/**
 * @param seen  gets a key for each block, the same in every run; a block is listed once
 * @param others  keys of blocks that are left out
 */
async function readCoverage(
  traces: readonly OpenedTrace[],
  stretch: Stretch,
  seen: Set<string>,
  others: ReadonlySet<string> | undefined,
  context: RunContext,
): Promise<{ readonly coverage: Coverage; readonly blocks: number }> {
  const modules: { base: number; end: number; path: string }[] = [];
  const covered: { module: number; offset: number; size: number }[] = [];
  let count = 0;
  await runTraces(traces, stretch, context, ({ source, space }) => {
    const isTaken: boolean[] = [];
    return ({ entries, length }, first) => {
      const { blocks } = source;
      let position = first;
      for (let i = 0; i < length; i++) {
        const block = entries[i];
        if (block < 0) continue;
        const at = position++;
        if (at < stretch.start || at >= stretch.end) continue;
        count++;
        if (isTaken[block]) continue;
        isTaken[block] = true;
        const index = blocks.module[block];
        if (index < 0) continue;
        const { name, path, base } = blocks.modules[index];
        const offset = blocks.offset[block];
        const size = blocks.size[block];
        const key = `${name}+${offset}+${size}`;
        if (seen.has(key)) continue;
        seen.add(key);
        if (others?.has(key)) continue;
        let module = modules.findIndex((known) => known.path === path && known.base === base);
        if (module < 0) {
          module = modules.length;
          const ends = (space?.sections ?? []).filter((section) => section.module === index);
          modules.push({ base, end: Math.max(base, ...ends.map(({ end }) => end)), path });
        }
        const known = modules[module];
        known.end = Math.max(known.end, base + offset + size);
        covered.push({ module, offset, size });
      }
    };
  });
  return {
    coverage: { modules: modules satisfies CoveredModule[], blocks: covered },
    blocks: count,
  };
}

/** Of several threads the first one that has blocks in the stretch. */
async function readTimeline(
  traces: readonly NamedTrace[],
  stretch: Stretch,
  flagged: readonly FlaggedStretch[],
  context: RunContext,
): Promise<{ readonly timeline: CallTimeline; readonly distinct: number }> {
  const builder = new CallTimelineBuilder();
  const frames: TimelineFrame[] = [];
  let threads = 0;
  let name = '';
  let start = -1;
  let end = -1;
  let distinct = 0;
  await runTraces(traces, stretch, context, (trace) => {
    const { source, space, path, code, names } = trace;
    const stack = space === undefined ? undefined : new StackCode(space);
    const follower = new CallFollower(source, { stack, known: code });
    const frameOf = frameFinder(source.blocks, names, frames);
    const open: number[] = [];
    const single = { entries: new Int32Array(1), length: 1 };
    const isSeen: boolean[] = [];
    let isChosen: boolean | undefined;
    return (batch, first) => {
      if (isChosen === false) return;
      if (first + batch.length <= stretch.start) {
        follower.push(batch);
        return;
      }
      let position = first;
      for (let i = 0; i < batch.length; i++) {
        const block = batch.entries[i];
        single.entries[0] = block;
        follower.push({ ...single, traceOffset: batch.traceOffset, time: batch.time });
        if (block < 0) continue;
        const at = position++;
        if (at < stretch.start || at >= stretch.end) continue;
        if (isChosen === undefined) {
          isChosen = threads++ === 0;
          if (!isChosen) return;
          name = path;
          start = at;
        }
        end = at + 1;
        if (!isSeen[block]) distinct++;
        isSeen[block] = true;
        // A call at the end of this block is open already; what runs is the block itself.
        const isMade = follower.depth > 0 && follower.callAt(follower.depth - 1) === block;
        const depth = follower.depth - (isMade ? 1 : 0);
        for (let level = 0; level < depth; level++) open[level] = frameOf(follower.callAt(level));
        open[depth] = frameOf(block);
        builder.set(at, open, depth + 1);
        if (builder.length > mostEvents) {
          throw new UserError(
            'export-too-large',
            `more than ${mostEvents} openings and closings of calls: choose a stretch with --range or --patch`,
            { category: 'arguments', path },
          );
        }
      }
    };
  });
  if (threads > 1) {
    context.log.log(
      'warning',
      `${name} alone is written: ${threads - 1} other threads are left out`,
    );
  }
  const inside = flagged.filter((each) => each.start < end && each.end > start);
  const timeline = builder.finish({ name, frames, start, end, flagged: inside });
  return { timeline, distinct };
}

/** @returns the frame of a block's function, one for all blocks of it */
function frameFinder(
  blocks: BlockTable,
  names: PlaceNames | undefined,
  frames: TimelineFrame[],
): (block: number) => number {
  const byBlock: (number | undefined)[] = [];
  const byName = new Map<string, number>();
  return (block) => {
    const known = byBlock[block];
    if (known !== undefined) return known;
    const frame = describeFrame(blocks, block, names);
    const key = `${frame.module}!${frame.name}`;
    let index = byName.get(key);
    if (index === undefined) {
      index = frames.push(frame) - 1;
      byName.set(key, index);
    }
    byBlock[block] = index;
    return index;
  };
}

function describeFrame(
  { module, modules, offset }: BlockTable,
  block: number,
  names: PlaceNames | undefined,
): TimelineFrame {
  const file = modules[module[block]];
  if (file === undefined) return { name: '(no file)', module: '' };
  const place = names?.at(file.base + offset[block]);
  const name = place?.function?.name ?? `(code of ${file.name || 'an unnamed file'})`;
  return { name, module: file.name };
}
