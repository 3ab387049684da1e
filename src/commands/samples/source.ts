import type { Address } from '../../base/address.ts';
import { UserError } from '../../base/errors.ts';
import type { CallLogFormat } from '../../sequences/calls/log.ts';
import { type CallLogOptions, readCallLog } from '../../sequences/calls/read-calls.ts';
import { findCallSamples, readCallSample } from '../../sequences/calls/samples.ts';
import { CallSource } from '../../sequences/calls/source.ts';
import { type FilterName, filterTable } from '../../sequences/filter.ts';
import { type OpenedTrace, openTraces, type TraceContext } from '../../trace/open-trace.ts';
import {
  findSamples,
  readSample,
  type Sample,
  type Skipped,
  samplesAt,
} from '../../trace/sample.ts';
import type { RunRecord } from '../run/folder.ts';

/** What sequences are made from: Intel PT, or logs of calls in any format (`api`) or in one. */
export const sourceNames = [
  'trace',
  'api',
  'report',
  'strace',
  'integers',
  'lid-ds',
  'sysdig',
  'perf-trace',
  'auditd',
  'drakvuf',
  'procmon',
] as const;
export type SourceName = (typeof sourceNames)[number];

/** Where samples come from. */
export interface SampleSource {
  readonly source: SourceName;
  /** Process whose calls count, by number or name; `undefined` = see `readCallLog`. */
  readonly process: string | undefined;
  /** Read stored traces, never raw ones. */
  readonly preprocessed: boolean;
  /** Processor that recorded raw traces, as `parseCpu` reads it. */
  readonly cpu?: string | undefined;
}

/** @throws UserError */
export async function findSourceSamples(
  root: string,
  { source, preprocessed }: SampleSource,
): Promise<{ readonly samples: readonly Sample[]; readonly skipped: readonly Skipped[] }> {
  if (source !== 'trace') return findCallSamples(root);
  try {
    return await findSamples(root, preprocessed ? 'preprocessed' : 'any');
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== 'no-samples') throw error;
    const found = await findCallSamples(root).catch(() => undefined);
    // Documents lie in folders, too; what has a label is meant to be learned from.
    const logs = found?.samples.filter(({ label }) => label !== 'unknown') ?? [];
    if (logs.length === 0) throw error;
    const message = `holds no Intel PT, but ${logs.length} logs that may be calls: add --source api`;
    throw new UserError('no-samples', message, { category: 'input', path: root });
  }
}

/** The samples of a root, or the one that lies there itself. @throws UserError */
export async function sourceSamplesAt(
  path: string,
  source: SampleSource,
): Promise<{ readonly samples: readonly Sample[]; readonly skipped: readonly Skipped[] }> {
  if (source.source !== 'trace') return findCallSamples(path);
  return samplesAt(path, source.preprocessed ? 'preprocessed' : 'any');
}

/** @throws UserError */
export async function readSourceSample(
  directory: string,
  { source, preprocessed }: SampleSource,
): Promise<Sample> {
  if (source !== 'trace') return readCallSample(directory);
  return readSample(directory, preprocessed ? 'preprocessed' : 'any');
}

/** Which blocks are followed by something to predict: of calls, all of them. */
export function sourceFilter(source: SourceName, names: readonly FilterName[]): Uint8Array {
  return source === 'trace' ? filterTable(names) : filterTable([]).fill(1);
}

/** What the traces of a run are counted in, by its record. */
export function unitOf(record: RunRecord | undefined): 'block' | 'call' {
  return sourceOfRun(record?.options).source === 'trace' ? 'block' : 'call';
}

/** What opening the samples of a corpus takes. */
export interface SourceContext extends TraceContext {
  readonly calls?: CallLogOptions;
}

function callOptions({ source, process }: SampleSource): CallLogOptions {
  const format: CallLogFormat | undefined =
    source === 'trace' || source === 'api' ? undefined : source;
  return { format, process };
}

/** @returns what reading samples of this source takes, beside images and caches */
export function readingOf(
  source: SampleSource,
): Pick<SourceContext, 'preprocessed' | 'process' | 'cpu' | 'calls'> {
  const { preprocessed, process, cpu } = source;
  return { preprocessed, process, cpu, calls: callOptions(source) };
}

/** Where the samples of a run came from, by its record. */
export function sourceOfRun(options: Readonly<Record<string, unknown>> | undefined): SampleSource {
  return {
    // Runs of before there were other sources do not say.
    source: sourceNames.find((name) => name === options?.source) ?? 'trace',
    process: typeof options?.process === 'string' ? options.process : undefined,
    preprocessed: options?.preprocessed === true,
    cpu: typeof options?.cpu === 'string' ? options.cpu : undefined,
  };
}

export interface OpenedSample extends OpenedTrace {
  /** Each thread comes from its very start. */
  readonly fromStart?: boolean;
  /** @returns the name of the call at an address of the source's blocks; only for logs of calls */
  readonly callAt?: (address: Address) => string | undefined;
}

/** Opens a sample of any source. @throws UserError */
export async function openSample(
  sample: Sample,
  context: SourceContext,
  signal?: AbortSignal,
): Promise<readonly OpenedSample[]> {
  if (sample.calls === undefined) {
    return openTraces(sample, { process: context.calls?.process, ...context });
  }
  const log = await readCallLog(sample.calls, { ...context.calls, signal });
  const source = new CallSource(log);
  const notes = log.notes.map((note) => `${sample.calls}: ${note}`);
  return [
    {
      path: sample.calls,
      source,
      space: undefined,
      missing: [],
      flat: [],
      notes,
      fromStart: true,
      callAt: (address) => source.callAt(address),
    },
  ];
}
