import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../base/errors.ts';
import { CodeCache } from '../flow/code-cache.ts';
import { ImageStore } from '../image/image-store.ts';
import { openTraces } from '../trace/open-trace.ts';
import { writeParsedTrace } from '../trace/parsed-trace-writer.ts';
import { type Sample, storedName } from '../trace/sample.ts';
import { writeStoredTrace } from '../trace/stored-trace-writer.ts';

export interface PreprocessSampleOptions {
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  readonly format: 'wayward' | 'ancestor';
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
  /** Why nothing is stored. */
  readonly reason: string | undefined;
}

/**
 * Decodes the raw traces of one sample and stores them beside it.
 *
 * @throws UserError when the sample cannot be read, or is not done in time
 */
export async function preprocessSample(
  sample: Sample,
  options: PreprocessSampleOptions,
  signal?: AbortSignal,
): Promise<PreprocessedSample> {
  const files =
    options.format === 'wayward'
      ? sample.traces.map((trace) => join(sample.directory, storedName(trace)))
      : [join(sample.directory, 'trace_parsed.gz')];
  const result = { name: sample.name, files, blocks: 0, gaps: 0, reason: undefined };
  if (!options.force && files.every((file) => existsSync(file))) {
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
  const signals = [signal, late].filter((item) => item !== undefined);
  const codeCache = new CodeCache();
  let { blocks, gaps } = result;
  const write = options.format === 'wayward' ? writeStoredTrace : writeParsedTrace;
  try {
    const images = new ImageStore(options.binDirs, { rawImages: options.rawImages });
    const traces = await openTraces(sample, { images, codeCache, preprocessed: false });
    for (const [index, trace] of traces.entries()) {
      const summary = await write(files[index], trace.source, {
        signal: AbortSignal.any(signals),
        space: trace.space,
        accept: (found) => options.partial || found.gaps === 0,
      });
      blocks += summary.blocks;
      gaps += summary.gaps;
      if (!options.partial && summary.gaps > 0) {
        for (const file of files) await rm(file, { force: true });
        const reason = `${sample.directory}: holds ${gaps} gaps`;
        return { ...result, files: [], blocks, gaps, outcome: 'partial', reason };
      }
    }
    return { ...result, blocks, gaps, outcome: 'stored' };
  } catch (cause) {
    if (late?.aborted && !signal?.aborted) {
      throw new UserError('timeout', `was not decoded in ${options.timeout} s`, {
        category: 'runtime',
        path: sample.directory,
        cause,
      });
    }
    throw cause;
  } finally {
    codeCache.dispose();
  }
}
