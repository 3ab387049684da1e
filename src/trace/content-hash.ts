import { createHash } from 'node:crypto';
import { contentMark } from './content-mark.ts';
import type { Sample } from './sample.ts';
import { StoredTrace } from './stored-trace.ts';
import { hashInflated } from './trace-origin.ts';

/**
 * Hash of what a sample recorded, compressed or not: its raw traces and their memory map, or those
 * that its stored traces were made from, so that a trace is known in either form; or its log of calls.
 *
 * @param preprocessed  the stored trace counts, not the raw ones
 * @returns SHA-256 in hexadecimal; `undefined` when there is nothing to hash
 * @throws UserError when a file cannot be read
 */
export async function hashContent(
  sample: Sample,
  preprocessed: boolean,
  signal?: AbortSignal,
): Promise<string | undefined> {
  if (sample.calls !== undefined) return hashInflated(sample.calls, signal);
  const isStored = preprocessed || sample.traces.length === 0;
  const parts = isStored ? await hashStored(sample, signal) : await hashRaw(sample, signal);
  if (parts.length === 0) return undefined;
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}

/**
 * A mark that samples with the same `hashContent` share, taken without inflating anything.
 *
 * @returns `undefined` for stored traces, which may be those of raw ones
 * @throws UserError when a file cannot be read
 */
export async function markContent(
  sample: Sample,
  preprocessed: boolean,
): Promise<string | undefined> {
  const { calls, traces, stored, parsed } = sample;
  if (calls !== undefined) return `calls ${await contentMark(calls)}`;
  const isStored = preprocessed || traces.length === 0;
  if (isStored && stored.length > 0) return undefined;
  if (isStored && parsed !== undefined) return `parsed ${await contentMark(parsed)}`;
  const marks: string[] = [];
  for (const path of isStored ? [] : traces) marks.push(await contentMark(path));
  return `raw ${marks.join(' ')}`;
}

async function hashRaw({ traces, map }: Sample, signal?: AbortSignal): Promise<string[]> {
  const parts: string[] = [];
  for (const path of [...traces, ...(map === undefined ? [] : [map])]) {
    parts.push(await hashInflated(path, signal));
  }
  return parts;
}

async function hashStored({ stored, parsed }: Sample, signal?: AbortSignal): Promise<string[]> {
  const parts: string[] = [];
  let map: string | undefined;
  for (const path of stored) {
    const origin = await new StoredTrace(path).readOrigin();
    map = origin?.map;
    parts.push(origin?.trace ?? (await hashInflated(path, signal)));
  }
  if (map !== undefined) parts.push(map);
  if (stored.length === 0 && parsed !== undefined) parts.push(await hashInflated(parsed, signal));
  return parts;
}
