import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { UserError } from '../base/errors.ts';
import { streamMaybeGzip } from '../base/files/read.ts';
import type { BlockSource } from '../flow/blocks.ts';
import type { CodeCache } from '../flow/code-cache.ts';
import { TraceDecoder } from '../flow/trace-decoder.ts';
import type { AddressSpace } from '../image/address-space.ts';
import type { ImageStore } from '../image/image-store.ts';
import { buildAddressSpace } from '../image/mapped-space.ts';
import { readMemoryMaps } from '../image/maps/memory-map.ts';
import { errataOf, noErrata, parseCpu } from '../pt/errata.ts';
import {
  type ChosenProcess,
  chooseProcess,
  type MapScore,
  scoreByCode,
  scoreByModules,
} from './choose-process.ts';
import { ParsedTrace } from './parsed-trace.ts';
import { type Sample, storedName } from './sample.ts';
import { StoredTrace } from './stored-trace.ts';
import { isMadeFrom } from './trace-origin.ts';

/** What the traces of a corpus share. */
export interface TraceContext {
  readonly images: ImageStore;
  readonly codeCache: CodeCache;
  /** Read stored traces, never raw ones. */
  readonly preprocessed: boolean;
  /** Number or name of the process that was traced, for maps of several. */
  readonly process?: string | undefined;
  /** Processor that recorded raw traces, as `parseCpu` reads it: its errata are taken into account. */
  readonly cpu?: string | undefined;
  /** Give each batch of raw traces the time of its blocks. */
  readonly isTimed?: boolean;
  /** Hash raw traces while they are read. */
  readonly hash?: boolean;
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
  /** SHA-256 of the raw trace, inflated, once it has been read whole; when asked for. */
  readonly hash?: () => string;
  /** What else the user should hear about this trace. */
  readonly notes?: readonly string[];
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
  const { images, codeCache } = context;
  const maps = sample.map === undefined ? [] : await readMemoryMaps(sample.map);
  const choose = async (score: MapScore): Promise<Partial<ChosenProcess>> => {
    if (sample.map === undefined) return {};
    const hints = { wanted: context.process, program: sample.file };
    return chooseProcess(maps, sample.map, hints, score);
  };
  if (context.preprocessed || sample.traces.length === 0) {
    const [first] = sample.stored;
    if (first !== undefined) {
      await refuseStale(sample);
      const modules = maps.length > 1 ? await new StoredTrace(first).readModules() : [];
      const { map, note } = await choose(scoreByModules(modules));
      // Images, when they are at hand, serve what looks at code beside the blocks.
      const code = map === undefined ? undefined : await buildAddressSpace(map, images);
      const missing = code?.missing ?? [];
      const space = code !== undefined && code.sections.length > 0 ? code : undefined;
      return sample.stored.map((path) => ({
        path,
        source: new StoredTrace(path),
        space,
        missing: space === undefined ? [] : missing,
        flat: space?.flat ?? [],
        ...(space === undefined || note === undefined ? {} : { notes: [note] }),
      }));
    }
    if (sample.parsed === undefined) {
      throw new UserError('sample-incomplete', 'has no preprocessed trace', {
        category: 'input',
        path: sample.directory,
      });
    }
    // Its modules are checksums of paths; any process's map can name them.
    const tables = maps.map(({ regions }) => regions);
    const source = new ParsedTrace(sample.parsed, tables);
    return [{ path: sample.parsed, source, space: undefined, missing: [], flat: [] }];
  }
  const { map, note } = await choose(scoreByCode(sample.traces[0] ?? '', images, codeCache));
  if (map === undefined) {
    throw new UserError('sample-incomplete', 'has no mapping.txt', {
      category: 'input',
      path: sample.directory,
    });
  }
  const space = await buildAddressSpace(map, images);
  const cpu = parseCpu(context.cpu ?? '');
  const errata = cpu === undefined ? noErrata : errataOf(cpu);
  return sample.traces.map((path) => {
    const hash = context.hash ? createHash('sha256') : undefined;
    const bytes = streamMaybeGzip(path);
    const input = hash === undefined ? bytes : tapped(bytes, (chunk) => hash.update(chunk));
    return {
      path,
      source: new TraceDecoder({
        space,
        input,
        codeCache,
        sharesProcessor: sample.sharesProcessor ?? false,
        errata,
        mtc: sample.mtc,
        isTimed: context.isTimed ?? false,
      }),
      space,
      missing: space.missing,
      flat: space.flat,
      ...(note === undefined ? {} : { notes: [note] }),
      ...(hash === undefined ? {} : { hash: () => hash.digest('hex') }),
    };
  });
}

async function* tapped(
  chunks: AsyncIterable<Uint8Array>,
  see: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    see(chunk);
    yield chunk;
  }
}

/** @throws UserError when a raw trace, or its map, is not what the stored one beside it was made from */
async function refuseStale({ stored, traces, map, directory }: Sample): Promise<void> {
  if (map === undefined) return;
  for (const path of stored) {
    const raw = traces.find((trace) => storedName(trace) === basename(path));
    if (raw === undefined) continue;
    const origin = await new StoredTrace(path).readOrigin();
    if (origin === undefined || (await isMadeFrom(origin, raw, map))) continue;
    throw new UserError(
      'stored-trace-stale',
      `${basename(raw)} or its memory map changed after ${basename(path)} was made from them: preprocess it again`,
      { category: 'input', path: directory },
    );
  }
}
