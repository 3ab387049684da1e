import { crc32, zstdCompressSync } from 'node:zlib';
import { assert, UserError } from '../base/errors.ts';
import { appendSync, writeFileParts } from '../base/files/write.ts';
import type { BlockBatch, BlockSource, TraceSummary } from '../flow/blocks.ts';
import {
  blockBytes,
  chunkEntries,
  headerLength,
  magic,
  maxBatch,
  maxDictionaryBytes,
  mostEntries,
  type StoredChunk,
  trailerLength,
  trailerMagic,
  version,
} from './stored-trace-format.ts';
import type { TraceOrigin } from './trace-origin.ts';

/** The entries and batches of one chunk. */
class ChunkWriter {
  /** Grows up to `mostEntries`: most traces are short. */
  #entries = new Int32Array(1 << 12);
  #heads: number[] = [];
  entries = 0;

  /** Takes `entries[from..to)`. @returns how many of them are blocks */
  add({ entries, traceOffset, time }: BlockBatch, from: number, to: number): number {
    const all = this.#roomFor(this.entries + to - from);
    let at = this.entries;
    let marks = 0;
    for (let i = from; i < to; i++) {
      const entry = entries[i];
      all[at++] = entry;
      if (entry < 0) marks++;
    }
    this.entries = at;
    this.#heads.push(to - from, traceOffset, time ?? Number.NaN);
    return to - from - marks;
  }

  #roomFor(length: number): Int32Array {
    if (length > this.#entries.length) {
      const larger = new Int32Array(Math.min(mostEntries, Math.max(length, 4 * this.entries)));
      larger.set(this.#entries);
      this.#entries = larger;
    }
    return this.#entries;
  }

  /** @returns the chunk, compressed; the next one begins */
  finish(): Buffer {
    const heads = Float64Array.from([this.#heads.length / 3, ...this.#heads]);
    const parts = [
      Buffer.from(heads.buffer),
      Buffer.from(this.#entries.buffer, 0, 4 * this.entries),
    ];
    const bytes = zstdCompressSync(Buffer.concat(parts));
    this.#heads = [];
    this.entries = 0;
    return bytes;
  }
}

/**
 * Reads a trace and stores its blocks and marks at `path`. The file appears under its name only
 * when it is whole.
 *
 * @param options.accept  asked once at the end; false leaves no file
 * @param options.origin  asked at the end: what the trace was made from
 * @returns what was in the trace
 * @throws UserError `write-failed`, and what the source throws
 */
export async function writeStoredTrace(
  path: string,
  source: BlockSource,
  options: {
    readonly signal?: AbortSignal;
    readonly accept?: (summary: TraceSummary) => boolean;
    readonly origin?: () => TraceOrigin;
  } = {},
): Promise<TraceSummary> {
  let summary: TraceSummary | undefined;
  await writeFileParts(path, async (file) => {
    summary = await writeTo(path, (bytes) => appendSync(file, path, bytes), source, options);
    return options.accept?.(summary) ?? true;
  });
  assert(summary !== undefined, 'the writer ran');
  return summary;
}

async function writeTo(
  path: string,
  append: (bytes: Uint8Array) => void,
  source: BlockSource,
  { signal, origin }: { readonly signal?: AbortSignal; readonly origin?: () => TraceOrigin },
): Promise<TraceSummary> {
  let at = 0;
  const put = (bytes: Uint8Array): void => {
    append(bytes);
    at += bytes.length;
  };
  const header = Buffer.alloc(headerLength);
  header.write(magic, 'latin1');
  header.writeUInt16LE(version, 8);
  put(header);

  const chunk = new ChunkWriter();
  const chunks: StoredChunk[] = [];
  let blocks = 0;
  let first: Pick<StoredChunk, 'firstBlock' | 'traceOffset' | 'time'> | undefined;
  const endChunk = (): void => {
    if (first === undefined) return;
    const bytes = chunk.finish();
    chunks.push({ offset: at, length: bytes.length, crc: crc32(bytes), ...first });
    put(bytes);
    first = undefined;
  };
  const summary = await source.run(
    (batch) => {
      const { length, traceOffset, time } = batch;
      for (let from = 0; from < length; from += maxBatch) {
        const to = Math.min(length, from + maxBatch);
        first ??= { firstBlock: blocks, traceOffset, ...(time === undefined ? {} : { time }) };
        blocks += chunk.add(batch, from, to);
        if (chunk.entries >= chunkEntries) endChunk();
      }
    },
    signal === undefined ? {} : { signal },
  );
  endChunk();

  const dictionary = dictionaryOf(path, source, { summary, origin: origin?.(), chunks });
  const trailer = Buffer.alloc(trailerLength);
  trailer.writeDoubleLE(at, 0);
  trailer.writeUInt32LE(dictionary.length, 8);
  trailer.writeUInt32LE(crc32(dictionary), 12);
  trailer.writeDoubleLE(at + dictionary.length + trailerLength, 16);
  trailer.writeUInt32LE(crc32(trailer.subarray(0, 24)), 24);
  trailer.write(trailerMagic, 28, 'latin1');
  put(dictionary);
  put(trailer);
  return summary;
}

/** What stands behind the chunks: blocks, marks, and where each chunk is; compressed. @throws UserError */
function dictionaryOf(
  path: string,
  { blocks: table, marks }: BlockSource,
  facts: {
    readonly summary: TraceSummary;
    readonly origin: TraceOrigin | undefined;
    readonly chunks: readonly StoredChunk[];
  },
): Buffer {
  const n = table.length;
  const describe = (): string =>
    JSON.stringify({
      modules: table.modules,
      marks,
      ...facts,
      blocks: n,
      bitness: table.bitness === undefined ? undefined : runsOf(table.bitness, n),
    });
  // A text longer than strings can be is not even tried: each mark takes some 100 bytes.
  const text = marks.length > maxDictionaryBytes / 64 ? undefined : Buffer.from(describe());
  if (text === undefined || 4 + text.length + n * blockBytes > maxDictionaryBytes) {
    throw new UserError(
      'too-large-to-store',
      `has ${n} distinct blocks and ${marks.length} gaps and asynchronous transfers: too many to store`,
      { category: 'input', path },
    );
  }
  const size = Buffer.alloc(4);
  size.writeUInt32LE(text.length);
  const part = (array: Int32Array | Float64Array | Uint8Array): Buffer =>
    Buffer.from(array.buffer, array.byteOffset, n * array.BYTES_PER_ELEMENT);
  return zstdCompressSync(
    Buffer.concat([
      size,
      text,
      part(table.offset),
      part(table.module),
      part(table.lastInstruction),
      part(table.size),
      part(table.instructions),
      part(table.kind),
    ]),
  );
}

/** @returns pairs of the first id and the width, one for each run of blocks of one width */
function runsOf(bitness: Uint8Array, length: number): [from: number, bits: number][] {
  const runs: [number, number][] = [];
  for (let id = 0; id < length; id++) {
    if (runs.at(-1)?.[1] !== bitness[id]) runs.push([id, bitness[id]]);
  }
  return runs;
}
