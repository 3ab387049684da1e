import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { UserError } from '../base/errors.ts';
import { notReadable } from '../base/files/failure.ts';
import { streamMaybeGzip } from '../base/files/read.ts';

/** What a stored trace was made from. Hashes are SHA-256 in hexadecimal. */
export interface TraceOrigin {
  /** Of the raw trace, inflated. */
  readonly trace: string;
  /** Of the raw trace's file as it lay there: unchanged, it need not be inflated to be known. */
  readonly file: string;
  /** Of the memory map, inflated. */
  readonly map: string;
  /** Mapped files that were not at hand: their code became gaps. */
  readonly missing: readonly string[];
}

/** @returns whether a parsed value has the form of an origin */
export function isTraceOrigin(value: unknown): value is TraceOrigin {
  const origin = value as TraceOrigin | null | undefined;
  const isHash = (text: unknown): boolean =>
    typeof text === 'string' && /^[0-9a-f]{64}$/.test(text);
  return (
    [origin?.trace, origin?.file, origin?.map].every(isHash) &&
    Array.isArray(origin?.missing) &&
    origin.missing.every((path) => typeof path === 'string')
  );
}

/** @returns whether a raw trace and its memory map are still what a stored trace was made from */
export async function isMadeFrom(
  origin: TraceOrigin,
  trace: string,
  map: string,
): Promise<boolean> {
  try {
    if (origin.map !== (await hashInflated(map))) return false;
    return origin.file === (await hashFile(trace)) || origin.trace === (await hashInflated(trace));
  } catch (error) {
    // A raw file that cannot be read whole is not the one that could.
    if (error instanceof UserError) return false;
    throw error;
  }
}

/** @throws UserError when the file cannot be read */
export async function hashInflated(path: string, signal?: AbortSignal): Promise<string> {
  return hashOf(streamMaybeGzip(path), signal);
}

/** As it lies there, compressed or not. @throws UserError when the file cannot be read */
export async function hashFile(path: string): Promise<string> {
  try {
    return await hashOf(createReadStream(path, { highWaterMark: 1 << 20 }));
  } catch (cause) {
    throw notReadable(path, cause);
  }
}

async function hashOf(chunks: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) {
    signal?.throwIfAborted();
    hash.update(chunk);
  }
  return hash.digest('hex');
}
