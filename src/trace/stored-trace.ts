import { crc32, zstdDecompressSync } from 'node:zlib';
import { messageOf, UserError } from '../base/errors.ts';
import { FileBytes } from '../base/files/file-bytes.ts';
import type {
  BlockSink,
  BlockSource,
  BlockTable,
  ReadOptions,
  TraceSummary,
} from '../flow/blocks.ts';
import type { Mark } from '../flow/mark.ts';
import type { Module } from '../image/address-space.ts';
import { type Dictionary, isWhole, parseDictionary } from './stored-dictionary.ts';
import {
  headBytes,
  headerLength,
  magic,
  maxBatch,
  maxChunkBytes,
  maxDictionaryBytes,
  mostEntries,
  type StoredChunk,
  trailerLength,
  trailerMagic,
  version,
} from './stored-trace-format.ts';
import type { TraceOrigin } from './trace-origin.ts';

/** Reads our stored traces; `docs/formats.md` ("Stored trace") tells what is in them. */
export class StoredTrace implements BlockSource {
  readonly #path: string;
  #dictionary: Dictionary | undefined;
  readonly blocks: BlockTable;
  /** Filled when reading begins. */
  readonly marks: Mark[] = [];

  constructor(path: string) {
    this.#path = path;
    // Consumers hold on to the table before anything is read, so it looks through.
    const table = (): BlockTable => this.#dictionary?.table ?? noBlocks;
    this.blocks = {
      get length() {
        return table().length;
      },
      get modules() {
        return table().modules;
      },
      get module() {
        return table().module;
      },
      get offset() {
        return table().offset;
      },
      get lastInstruction() {
        return table().lastInstruction;
      },
      get size() {
        return table().size;
      },
      get instructions() {
        return table().instructions;
      },
      get kind() {
        return table().kind;
      },
      get bitness() {
        return table().bitness ?? new Uint8Array(0);
      },
    };
  }

  /** @param options.fromBlock  begin with the chunk that holds this block index */
  async run(
    sink: BlockSink,
    options: ReadOptions & { readonly fromBlock?: number } = {},
  ): Promise<TraceSummary> {
    const file = await FileBytes.open(this.#path);
    try {
      const dictionary = await this.#readDictionary(file);
      this.#dictionary = dictionary;
      this.marks.length = 0;
      for (const mark of dictionary.marks) this.marks.push(mark);
      const { chunks, summary } = dictionary;
      const from = options.fromBlock ?? 0;
      for (const [index, chunk] of chunks.entries()) {
        options.signal?.throwIfAborted();
        const end = chunks[index + 1]?.firstBlock ?? summary.blocks;
        if (end <= from && index + 1 < chunks.length) continue;
        // Marks and heads of batches take little beside the blocks.
        const expected = 5 * (end - chunk.firstBlock);
        const bytes = await this.#part(file, chunk, expected, maxChunkBytes, 'a chunk');
        const blocks = readChunk(bytes, dictionary, sink);
        if (blocks !== end - chunk.firstBlock) {
          throw this.#damaged(chunk.offset, 'a chunk holds what cannot be');
        }
        await options.pace?.();
      }
      return dictionary.summary;
    } finally {
      await file.close();
    }
  }

  /**
   * @returns what it was made from, where that is told
   * @throws UserError when the file is not whole
   */
  async readOrigin(): Promise<TraceOrigin | undefined> {
    return (await this.#readAhead()).origin;
  }

  /** @returns the modules of its blocks. @throws UserError when the file is not whole */
  async readModules(): Promise<readonly Module[]> {
    return (await this.#readAhead()).modules;
  }

  async #readAhead(): Promise<Dictionary> {
    const file = await FileBytes.open(this.#path);
    try {
      return await this.#readDictionary(file);
    } finally {
      await file.close();
    }
  }

  async #readDictionary(file: FileBytes): Promise<Dictionary> {
    const size = file.length;
    const header = await this.#read(file, 0, Math.min(size, headerLength));
    if (header.length < headerLength || header.toString('latin1', 0, 8) !== magic) {
      throw this.#damaged(0, 'it does not begin as a stored trace');
    }
    const found = header.readUInt16LE(8);
    if (found !== version) {
      throw this.#damaged(8, `it has version ${found}; this program reads version ${version}`);
    }
    const end = size - trailerLength;
    const cut = 'the end is missing: the file was cut off or never finished';
    if (end < headerLength) throw this.#damaged(size, cut);
    const trailer = await this.#read(file, end, trailerLength);
    if (
      trailer.toString('latin1', 28) !== trailerMagic ||
      trailer.readUInt32LE(24) !== crc32(trailer.subarray(0, 24)) ||
      trailer.readDoubleLE(16) !== size
    ) {
      throw this.#damaged(end, cut);
    }
    const offset = trailer.readDoubleLE(0);
    const [length, crc] = [trailer.readUInt32LE(8), trailer.readUInt32LE(12)];
    if (offset + length !== end) throw this.#damaged(end, 'the dictionary is not where it must be');
    const place = { offset, length, crc };
    const bytes = await this.#part(file, place, 8 * length, maxDictionaryBytes, 'the dictionary');
    try {
      return parseDictionary(bytes, offset);
    } catch (cause) {
      throw this.#damaged(offset, `the dictionary is damaged: ${messageOf(cause)}`);
    }
  }

  /** @param expected  bytes that it inflates to in one step, and so is not put together from many */
  async #part(
    file: FileBytes,
    { offset, length, crc }: Pick<StoredChunk, 'offset' | 'length' | 'crc'>,
    expected: number,
    most: number,
    what: string,
  ): Promise<Buffer> {
    const bytes = await this.#read(file, offset, length);
    if (crc32(bytes) !== crc) throw this.#damaged(offset, `${what} has another checksum`);
    const chunkSize = Math.min(mostStep, Math.max(leastStep, expected));
    try {
      return zstdDecompressSync(bytes, { maxOutputLength: most, chunkSize });
    } catch (cause) {
      throw this.#damaged(offset, `${what} cannot be inflated: ${messageOf(cause)}`);
    }
  }

  async #read(file: FileBytes, at: number, length: number): Promise<Buffer> {
    if (!(Number.isInteger(at) && at >= 0 && length >= 0 && at + length <= file.length)) {
      throw this.#damaged(0, 'a part lies outside of the file');
    }
    const bytes = await file.read(at, length);
    if (bytes.length < length) throw this.#damaged(at + bytes.length, 'the file ends too early');
    return bytes;
  }

  #damaged(at: number, cause: string): UserError {
    return new UserError('stored-trace-damaged', `at byte ${at}, ${cause}`, {
      category: 'input',
      path: this.#path,
      place: `byte ${at}`,
    });
  }
}

/** Bounds of a step of inflating, whatever a file claims; a usual chunk takes one of the largest. */
const [leastStep, mostStep] = [1 << 14, 5 << 20];

const noBlocks: BlockTable = {
  length: 0,
  modules: [],
  module: new Int32Array(0),
  offset: new Float64Array(0),
  lastInstruction: new Int32Array(0),
  size: new Int32Array(0),
  instructions: new Int32Array(0),
  kind: new Uint8Array(0),
};

/** Checks a chunk's entries and gives them to `sink` in their batches. @returns its blocks; -1 for what cannot be */
function readChunk(
  bytes: Buffer,
  { table, marks }: Pick<Dictionary, 'table' | 'marks'>,
  sink: BlockSink,
): number {
  if (bytes.length < 8) return -1;
  const batches = bytes.readDoubleLE(0);
  const start = 8 + headBytes * batches;
  const length = (bytes.length - start) / 4;
  if (!isWhole(batches) || !isWhole(length) || length > mostEntries) return -1;
  const from = bytes.byteOffset + start;
  // Where inflating left them unaligned they have to be copied.
  const entries =
    from % 4 === 0
      ? new Int32Array(bytes.buffer, from, length)
      : new Int32Array(bytes.buffer.slice(from, from + 4 * length));
  const last = table.length - 1;
  const least = -marks.length;
  // Signs only, without branches: this runs for every entry.
  let signs = 0;
  let markCount = 0;
  for (let i = 0; i < length; i++) {
    const entry = entries[i];
    signs |= (last - entry) | (entry - least);
    markCount += entry >>> 31;
  }
  if (signs < 0) return -1;
  let at = 0;
  for (let batch = 0; batch < batches; batch++) {
    const head = 8 + headBytes * batch;
    const count = bytes.readDoubleLE(head);
    const traceOffset = bytes.readDoubleLE(head + 8);
    const time = bytes.readDoubleLE(head + 16);
    if (!isWhole(count) || count === 0 || count > maxBatch || at + count > length) return -1;
    if (!isWhole(traceOffset)) return -1;
    sink({
      entries: entries.subarray(at, at + count),
      length: count,
      traceOffset,
      time: Number.isNaN(time) ? undefined : time,
    });
    at += count;
  }
  return at === length ? length - markCount : -1;
}
