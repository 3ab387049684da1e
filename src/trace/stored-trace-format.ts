/** First bytes of a stored trace. */
export const magic = 'WAYTRACE';
export const version = 1;
/** Magic, version (u16), six zero bytes. */
export const headerLength = 16;
/** Dictionary offset (f64), length (u32) and CRC-32 (u32), file size (f64), CRC-32 of these, `WEND`. */
export const trailerLength = 32;
export const trailerMagic = 'WEND';
/** A run byte after which the run goes on in the next byte. */
export const longRun: number = 255;
/** Entries of a chunk at most, besides the last batch: a chunk is inflated as a whole. */
export const chunkEntries: number = 1 << 20;
/** A larger batch is split, so that readers can reuse one buffer of a known size. */
export const maxBatch: number = 1 << 16;
/** A dictionary or chunk that claims more inflated bytes than this is damage, not data. */
export const maxInflated: number = 1 << 30;

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
