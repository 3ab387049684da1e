import { ImageCodeCache } from '../../evidence/code/process-code.ts';
import { CodeCache } from '../../flow/code-cache.ts';
import { ImageStore } from '../../image/image-store.ts';
import type { FilterName } from '../../sequences/filter.ts';
import type { RunFolder } from '../run/folder.ts';
import type { EvaluateOptions } from '../samples/evaluating/evaluate.ts';
import { ImageNotes } from '../samples/evaluating/image-notes.ts';
import { readingOf, sourceFilter } from '../samples/source.ts';
import type { LearnOptions } from './options.ts';
import { type StartingPoint, windowLengthOf } from './starting-point.ts';
import type { CountOptions, SampleReading } from './windows/count-windows.ts';

/** How the traces of a run are read: for its model, and for its evaluations. */
export interface CorpusReading {
  /** Transfers that are predicted. */
  readonly filter: readonly FilterName[];
  readonly count: CountOptions;
  readonly evaluate: EvaluateOptions & { readonly imageCode: ImageCodeCache };
  dispose(): void;
}

/** @param elsewhere  who reads training samples; without it, threads of this process do */
export function openCorpusReading(
  options: LearnOptions,
  start: StartingPoint,
  folder: RunFolder,
  elsewhere: SampleReading | undefined,
): CorpusReading {
  const { binDirs, rawImages, source } = options;
  const filter = start.kind === 'run' ? start.filter : options.filter;
  const codeCache = new CodeCache();
  const reading = readingOf(options);
  const shared = {
    windowLength: windowLengthOf(start) ?? options.windowLength,
    filter: sourceFilter(source, filter),
    notes: new ImageNotes(rawImages),
    timeout: options.timeout,
  };
  return {
    filter,
    count: {
      ...shared,
      ...reading,
      ...{ binDirs, rawImages, elsewhere },
      threads: options.workers,
      memoryLimit: options.memoryLimit,
      mostWindows: options.queueSize,
      spillDirectory: folder.windows,
    },
    evaluate: {
      ...shared,
      traces: { images: new ImageStore(binDirs, { rawImages }), codeCache, ...reading },
      imageCode: new ImageCodeCache(),
    },
    dispose: () => codeCache.dispose(),
  };
}
