import { createHash } from 'node:crypto';
import { streamMaybeGzip } from '../base/files.ts';
import type { Sample } from './sample.ts';

/**
 * SHA-256 of what a sample recorded, compressed or not: its raw traces and their memory map, or its
 * stored trace, whose addresses do not depend on the map.
 *
 * @param preprocessed  the stored trace counts, not the raw ones
 * @returns hexadecimal; `undefined` when there is nothing to hash
 * @throws UserError when a file cannot be read
 */
export async function hashContent(
  sample: Sample,
  preprocessed: boolean,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const isStored = preprocessed || sample.traces.length === 0;
  const files = isStored ? [sample.parsed] : [...sample.traces, sample.map];
  const hash = createHash('sha256');
  let count = 0;
  for (const path of files) {
    if (path === undefined) continue;
    count++;
    let bytes = 0;
    for await (const chunk of streamMaybeGzip(path)) {
      signal?.throwIfAborted();
      hash.update(chunk);
      bytes += chunk.length;
    }
    // Where one file ends and the next begins counts, too.
    hash.update(`\n${bytes}\n`);
  }
  return count === 0 ? undefined : hash.digest('hex');
}
