import { readBlocks, type TraceLine } from '../commands/blocks.ts';
import {
  type InspectOptions,
  inspect as inspectSample,
  type TraceReport,
} from '../commands/inspect.ts';
import type { TraceReading } from '../commands/samples/opened-traces.ts';
import { type CallOptions, call, checkPath, contextOf } from './call.ts';

export interface LookOptions extends CallOptions, Partial<TraceReading> {}

/**
 * Reads the blocks that a recorded program ran, in order, with their names. The trace is read as the
 * loop goes on, and no further than it goes.
 *
 * @param sample  the recording's folder; images are looked for in `bin` beside its `traces`, in
 *   `bin` beside it, or in `options.binDirs`
 * @example
 * for await (const line of decode('recordings/traces/a')) {
 *   if (!('mark' in line)) console.log(line.place, line.transfer);
 * }
 *
 * @throws UserError; the signal's reason
 */
export async function* decode(
  sample: string,
  options: LookOptions = {},
): AsyncGenerator<TraceLine, void, undefined> {
  checkPath(sample, 'the sample');
  options.signal?.throwIfAborted();
  yield* readBlocks(sample, readingOf(options), contextOf(options));
}

export interface InspectSettings
  extends LookOptions,
    Partial<Pick<InspectOptions, 'hash' | 'hottest'>> {}

/**
 * Reads the traces of a recording once, and counts what is in them.
 *
 * @throws UserError; the signal's reason
 */
export async function inspect(
  sample: string,
  options: InspectSettings = {},
): Promise<readonly TraceReport[]> {
  checkPath(sample, 'the sample');
  const { hash = false, hottest = 10 } = options;
  return call(options, (context) =>
    inspectSample({ ...readingOf(options), sample, hash, hottest }, context),
  );
}

function readingOf(options: LookOptions): TraceReading {
  const { binDirs = [], rawImages = false, preprocessed = false, process, cpu, names } = options;
  return { binDirs, rawImages, preprocessed, process, cpu, names };
}
