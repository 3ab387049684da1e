import { crc32, zstdCompressSync } from 'node:zlib';
import { assert, UserError } from '../base/errors.ts';
import { appendSync, writeFileParts } from '../base/files.ts';
import type { BlockBatch, BlockSource, TraceSummary } from '../flow/blocks.ts';
import {
  blockBytes,
  chunkEntries,
  headerLength,
  longRun,
  magic,
  maxBatch,
  maxDictionaryBytes,
  type StoredChunk,
  trailerLength,
  trailerMagic,
  version,
} from './stored-trace-format.ts';
import type { TraceOrigin } from './trace-origin.ts';

/** Encodes the batches of one chunk: each block is what followed its predecessor last time, or named. */
class ChunkEncoder {
  #next = new Int32Array(4096);
  #runs = new Uint8Array(chunkEntries + 2 * maxBatch);
  #misses = new Int32Array(chunkEntries + 2 * maxBatch);
  #heads: number[] = [];
  #runLength = 0;
  #missLength = 0;
  #run = 0;
  #before = 0;
  entries = 0;

  add(batch: BlockBatch, from: number, to: number, distinct: number): void {
    if (distinct + 1 > this.#next.length) {
      const grown = new Int32Array(2 * (distinct + 1));
      grown.set(this.#next);
      this.#next = grown;
    }
    this.#heads.push(to - from, batch.traceOffset, batch.time ?? Number.NaN);
    const next = this.#next;
    const runs = this.#runs;
    const misses = this.#misses;
    const { entries } = batch;
    let before = this.#before;
    let run = this.#run;
    let runLength = this.#runLength;
    let missLength = this.#missLength;
    for (let i = from; i < to; i++) {
      const entry = entries[i];
      if (next[before] === entry) {
        if (++run === longRun) {
          runs[runLength++] = longRun;
          run = 0;
        }
      } else {
        runs[runLength++] = run;
        run = 0;
        misses[missLength++] = entry;
        if (entry >= 0) next[before] = entry;
      }
      before = entry < 0 ? 0 : entry + 1;
    }
    this.#before = before;
    this.#run = run;
    this.#runLength = runLength;
    this.#missLength = missLength;
    this.entries += to - from;
  }

  /** @returns the chunk, compressed; the encoder begins the next one */
  finish(): Buffer {
    if (this.#run > 0) this.#runs[this.#runLength++] = this.#run;
    const heads = Float64Array.from([
      this.#heads.length / 3,
      this.#missLength,
      this.#runLength,
      ...this.#heads,
    ]);
    const parts = [
      Buffer.from(heads.buffer),
      Buffer.from(this.#misses.buffer, 0, 4 * this.#missLength),
      Buffer.from(this.#runs.buffer, 0, this.#runLength),
    ];
    this.#next.fill(0);
    this.#heads = [];
    this.#runLength = 0;
    this.#missLength = 0;
    this.#run = 0;
    this.#before = 0;
    this.entries = 0;
    return zstdCompressSync(Buffer.concat(parts));
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

  const encoder = new ChunkEncoder();
  const chunks: StoredChunk[] = [];
  let blocks = 0;
  let first: Pick<StoredChunk, 'firstBlock' | 'traceOffset' | 'time'> | undefined;
  const endChunk = (): void => {
    if (first === undefined) return;
    const bytes = encoder.finish();
    chunks.push({ offset: at, length: bytes.length, crc: crc32(bytes), ...first });
    put(bytes);
    first = undefined;
  };
  const summary = await source.run(
    (batch) => {
      const { entries, length, traceOffset, time } = batch;
      for (let from = 0; from < length; from += maxBatch) {
        const to = Math.min(length, from + maxBatch);
        first ??= { firstBlock: blocks, traceOffset, ...(time === undefined ? {} : { time }) };
        encoder.add(batch, from, to, source.blocks.length);
        for (let i = from; i < to; i++) if (entries[i] >= 0) blocks++;
        if (encoder.entries >= chunkEntries) endChunk();
      }
    },
    signal === undefined ? {} : { signal },
  );
  endChunk();

  const table = source.blocks;
  const n = table.length;
  const describe = (): string =>
    JSON.stringify({
      modules: table.modules,
      marks: source.marks,
      summary,
      origin: origin?.(),
      chunks,
      blocks: n,
    });
  // A text longer than strings can be is not even tried: each mark takes some 100 bytes.
  const text = source.marks.length > maxDictionaryBytes / 64 ? undefined : Buffer.from(describe());
  if (text === undefined || 4 + text.length + n * blockBytes > maxDictionaryBytes) {
    throw new UserError(
      'too-large-to-store',
      `has ${n} distinct blocks and ${source.marks.length} gaps and asynchronous transfers: too many to store`,
      { category: 'input', path },
    );
  }
  const size = Buffer.alloc(4);
  size.writeUInt32LE(text.length);
  const part = (array: Int32Array | Float64Array | Uint8Array): Buffer =>
    Buffer.from(array.buffer, array.byteOffset, n * array.BYTES_PER_ELEMENT);
  const dictionary = zstdCompressSync(
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
