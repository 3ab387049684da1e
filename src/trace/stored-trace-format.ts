/** First bytes of a stored trace. */
export const magic = 'WAYTRACE';
export const version = 2;
/** Magic, version (u16), six zero bytes. */
export const headerLength = 16;
/** Dictionary offset (f64), length (u32) and CRC-32 (u32), file size (f64), CRC-32 of these, `WEND`. */
export const trailerLength = 32;
export const trailerMagic = 'WEND';
/** A chunk is written once it holds as many entries: it is inflated as a whole. */
export const chunkEntries: number = 1 << 20;
/** Entries of a batch at most; a longer one is split. */
export const maxBatch: number = 1 << 16;
/** Entries of a chunk at most. */
export const mostEntries: number = chunkEntries + maxBatch;
/** Bytes of a batch's head: entries, trace offset, time. */
export const headBytes = 24;
/** Inflated bytes of a chunk at most: each entry a batch of its own. */
export const maxChunkBytes: number = 8 + mostEntries * (headBytes + 4);
/** Inflated bytes of the dictionary at most; what claims more is damage, or too large to store. */
export const maxDictionaryBytes: number = 1 << 28;

/** Bytes of a block in the dictionary: offset, four 32-bit numbers, kind. */
export const blockBytes: number = 8 + 4 * 4 + 1;

/** Where one chunk lies and what is in it. */
export interface StoredChunk {
  /** Bytes from the start of the file, and compressed size. */
  readonly offset: number;
  readonly length: number;
  readonly crc: number;
  /** Index of the first block in it: blocks before it in the trace. */
  readonly firstBlock: number;
  readonly traceOffset: number;
  readonly time?: number;
}
