import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { isThere } from '../../base/files/exists.ts';
import { removeStaleParts } from '../../base/files/write.ts';
import type { TraceSummary } from '../../flow/blocks.ts';
import { CodeCache } from '../../flow/code-cache.ts';
import { ImageStore } from '../../image/image-store.ts';
import { type OpenedTrace, openTraces } from '../../trace/open-trace.ts';
import { writeParsedTrace } from '../../trace/parsed-trace-writer.ts';
import { type Sample, storedName } from '../../trace/sample.ts';
import { StoredTrace } from '../../trace/stored-trace.ts';
import { writeStoredTrace } from '../../trace/stored-trace-writer.ts';
import { hashFile, hashInflated, isMadeFrom, type TraceOrigin } from '../../trace/trace-origin.ts';

export type StoredFormat = 'wayward' | 'ancestor';

export interface PreprocessSampleOptions {
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  /** Number or name of the traced process, for maps of several. */
  readonly process?: string | undefined;
  /** Processor that recorded the traces: FAMILY/MODEL/STEPPING. */
  readonly cpu?: string | undefined;
  readonly format: StoredFormat;
  /** Decode again what is stored already. */
  readonly force: boolean;
  /** Seconds for one sample; `undefined` = any. */
  readonly timeout: number | undefined;
  /** Store samples with gaps, too. */
  readonly partial: boolean;
}

export interface PreprocessedSample {
  readonly name: string;
  readonly outcome: 'stored' | 'present' | 'partial' | 'failed';
  readonly files: readonly string[];
  readonly blocks: number;
  readonly gaps: number;
  /** Mapped files that no `--bin-dir` holds. */
  readonly missing: readonly string[];
  /** Mapped files that are taken as memory dumps. */
  readonly flat: readonly string[];
  /** What else there is to know about how it was opened, a sentence each. */
  readonly notes: readonly string[];
  /** Why nothing is stored. */
  readonly reason: string | undefined;
}

/** What one worker keeps from sample to sample. */
export class Decoding {
  readonly images: ImageStore;
  readonly codeCache: CodeCache = new CodeCache();

  constructor({ binDirs, rawImages }: Pick<PreprocessSampleOptions, 'binDirs' | 'rawImages'>) {
    this.images = new ImageStore(binDirs, { rawImages });
  }

  dispose(): void {
    this.codeCache.dispose();
  }
}

/**
 * Decodes the raw traces of one sample and stores them beside it. What is stored already stays, when
 * it is whole and made from what lies there now.
 *
 * @param decoding  made of the same options
 * @throws UserError when the sample cannot be read, or is not done in time
 */
export async function preprocessSample(
  sample: Sample,
  options: PreprocessSampleOptions,
  decoding: Decoding,
  signal?: AbortSignal,
): Promise<PreprocessedSample> {
  const files = storedFiles(sample, options.format);
  const result = { ...nothingOf(sample.name), files };
  for (const file of files) await removeStaleParts(file);
  if (!options.force && (await isDone(sample, files, options.format, decoding))) {
    return { ...result, outcome: 'present' };
  }
  if (options.format === 'ancestor' && sample.traces.length > 1) {
    throw new UserError(
      'too-many-threads',
      `has ${sample.traces.length} traces; trace_parsed.gz holds one`,
      { category: 'input', path: sample.directory },
    );
  }
  const late =
    options.timeout === undefined
      ? undefined
      : AbortSignal.timeout(Math.ceil(options.timeout * 1000));
  const stop = AbortSignal.any([signal, late].filter((item) => item !== undefined));
  let { blocks, gaps } = result;
  let found: Partial<PreprocessedSample> = {};
  try {
    const { images, codeCache } = decoding;
    const traces = await openTraces(sample, {
      images,
      codeCache,
      process: options.process,
      cpu: options.cpu,
      preprocessed: false,
      hash: true,
    });
    for (const [index, trace] of traces.entries()) {
      if (index === 0) {
        const { missing, flat, notes = [] } = trace;
        found = { missing, flat, notes };
      }
      const summary = await store(files[index], trace, sample, options, stop);
      blocks += summary.blocks;
      gaps += summary.gaps;
      if (!options.partial && summary.gaps > 0) {
        for (const file of files) await rm(file, { force: true });
        const reason = `${sample.directory}: holds ${gaps} gaps`;
        return { ...result, ...found, files: [], blocks, gaps, outcome: 'partial', reason };
      }
    }
    return { ...result, ...found, blocks, gaps, outcome: 'stored' };
  } catch (cause) {
    if (late?.aborted && !signal?.aborted) {
      throw new UserError('timeout', `was not decoded in ${options.timeout} s`, {
        category: 'runtime',
        path: sample.directory,
        cause,
      });
    }
    throw cause;
  }
}

/** @returns a result of which only the name is known */
export function nothingOf(name: string): Omit<PreprocessedSample, 'outcome'> {
  const lists = { files: [], missing: [], flat: [], notes: [] };
  return { name, blocks: 0, gaps: 0, reason: undefined, ...lists };
}

/** Removes what a killed `preprocessSample` of this sample left half-written. */
export async function cleanUp(sample: Sample, format: StoredFormat): Promise<void> {
  for (const file of storedFiles(sample, format)) await removeStaleParts(file);
}

function storedFiles({ directory, traces }: Sample, format: StoredFormat): string[] {
  return format === 'wayward'
    ? traces.map((trace) => join(directory, storedName(trace)))
    : [join(directory, 'trace_parsed.gz')];
}

async function store(
  file: string,
  trace: OpenedTrace,
  sample: Sample,
  options: PreprocessSampleOptions,
  signal: AbortSignal,
): Promise<TraceSummary> {
  const accept = ({ gaps }: TraceSummary): boolean => options.partial || gaps === 0;
  if (options.format === 'ancestor') {
    return writeParsedTrace(file, trace.source, { signal, accept, space: trace.space });
  }
  const [raw, map] = [await hashFile(trace.path), await hashInflated(sample.map ?? '')];
  return writeStoredTrace(file, trace.source, {
    signal,
    accept,
    origin: () => ({ trace: trace.hash?.() ?? '', file: raw, map, missing: trace.missing }),
  });
}

/** The ancestor's format does not tell what it was made from, so there a file is enough. */
async function isDone(
  { traces, map }: Sample,
  files: readonly string[],
  format: StoredFormat,
  { images }: Decoding,
): Promise<boolean> {
  for (const [index, file] of files.entries()) {
    if (!isThere(file)) return false;
    if (format === 'ancestor') continue;
    let origin: TraceOrigin | undefined;
    try {
      origin = await new StoredTrace(file).readOrigin();
    } catch (error) {
      if (error instanceof UserError) return false;
      throw error;
    }
    if (origin === undefined || !(await isMadeFrom(origin, traces[index], map ?? ''))) return false;
    for (const path of origin.missing) {
      if ((await images.find(path)) !== undefined) return false;
    }
  }
  return true;
}
