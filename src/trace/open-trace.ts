import { UserError } from '../base/errors.ts';
import { streamMaybeGzip } from '../base/files.ts';
import type { BlockSource } from '../flow/blocks.ts';
import type { CodeCache } from '../flow/code-cache.ts';
import { TraceDecoder } from '../flow/trace-decoder.ts';
import type { AddressSpace } from '../image/address-space.ts';
import type { ImageStore } from '../image/image-store.ts';
import { buildAddressSpace } from '../image/mapped-space.ts';
import { readMemoryMap } from '../image/memory-map.ts';
import { ParsedTrace } from './parsed-trace.ts';
import type { Sample } from './sample.ts';
import { StoredTrace } from './stored-trace.ts';

/** What the traces of a corpus share. */
export interface TraceContext {
  readonly images: ImageStore;
  readonly codeCache: CodeCache;
  /** Read stored traces, never raw ones. */
  readonly preprocessed: boolean;
}

export interface OpenedTrace {
  /** File that it comes from. */
  readonly path: string;
  readonly source: BlockSource;
  /** `undefined` for a stored trace, which holds no code, unless its images are at hand. */
  readonly space: AddressSpace | undefined;
  /** Mapped files that no `--bin-dir` holds. */
  readonly missing: readonly string[];
  /** Mapped files that are taken as memory dumps. */
  readonly flat: readonly string[];
}

/**
 * Opens the traces of a sample: one for each thread, in order.
 *
 * @throws UserError when the map or the images cannot be read
 */
export async function openTraces(
  sample: Sample,
  context: TraceContext,
): Promise<readonly OpenedTrace[]> {
  const map = sample.map === undefined ? undefined : await readMemoryMap(sample.map);
  if (context.preprocessed || sample.traces.length === 0) {
    if (sample.stored.length > 0) {
      // Images, when they are at hand, serve what looks at code beside the blocks.
      const code = map === undefined ? undefined : await buildAddressSpace(map, context.images);
      const missing = code?.missing ?? [];
      const space = code !== undefined && code.sections.length > 0 ? code : undefined;
      return sample.stored.map((path) => ({
        path,
        source: new StoredTrace(path),
        space,
        missing: space === undefined ? [] : missing,
        flat: space?.flat ?? [],
      }));
    }
    if (sample.parsed === undefined) {
      throw new UserError('sample-incomplete', 'has no preprocessed trace', {
        category: 'input',
        path: sample.directory,
      });
    }
    const source = new ParsedTrace(sample.parsed, map);
    return [{ path: sample.parsed, source, space: undefined, missing: [], flat: [] }];
  }
  if (map === undefined) {
    throw new UserError('sample-incomplete', 'has no mapping.txt', {
      category: 'input',
      path: sample.directory,
    });
  }
  const space = await buildAddressSpace(map, context.images);
  return sample.traces.map((path) => ({
    path,
    source: new TraceDecoder({ space, input: streamMaybeGzip(path), codeCache: context.codeCache }),
    space,
    missing: space.missing,
    flat: space.flat,
  }));
}
