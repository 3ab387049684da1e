import { tsc } from '../../pt/clock.ts';
import { Ext, findPsb, Opcode, packetLength, psbBytes } from '../../pt/packet.ts';
import type { TraceBuffer } from './recording.ts';
import type { PerfFile } from './records/file.ts';
import type { TraceChunk } from './records/records.ts';

/** A stretch of the file that goes on where the one before ended, unless trace was lost between. */
interface Stretch {
  /** Position in the buffer's trace. */
  readonly from: number;
  length: number;
  /** Position in the file. */
  readonly at: number;
  /** Offset that the kernel counts for its first byte. */
  readonly offset: number;
  readonly isLossBefore: boolean;
}

const blockBytes = 1 << 20;
/** perf fills trace data up to a multiple of eight bytes. */
const padding = 8;
/** How much of a snapshot is looked through at a time for its first or last PSB. */
const searchBytes = 1 << 16;

/**
 * All trace of one ring buffer, one chunk after the other, read from the file as it is needed.
 * Positions count its bytes from 0.
 */
export class TraceStream {
  readonly #file: PerfFile;
  readonly #stretches: Stretch[];
  readonly length: number;
  /** Places at which trace was lost. */
  readonly losses: number;
  /** Bytes that two snapshots have in common. */
  readonly overlap: number;
  #window: Buffer = Buffer.alloc(0);
  #windowAt = 0;

  private constructor(file: PerfFile, stretches: Stretch[], overlap: number) {
    this.#file = file;
    this.#stretches = stretches;
    const last = stretches.at(-1);
    this.length = last === undefined ? 0 : last.from + last.length;
    this.losses = stretches.filter(({ isLossBefore }) => isLossBefore).length;
    this.overlap = overlap;
  }

  /** @param isSnapshot  chunks were taken from a ring that goes on being written, and may overlap */
  static async open(
    file: PerfFile,
    buffer: TraceBuffer,
    isSnapshot: boolean,
  ): Promise<TraceStream> {
    const stretches: Stretch[] = [];
    let from = 0;
    let overlap = 0;
    const { chunks, losses } = buffer;
    /** The last snapshot that brought anything new. */
    let newest: TraceChunk | undefined;
    for (const [index, chunk] of chunks.entries()) {
      const { offset, at } = chunk;
      let { size } = chunk;
      const before = chunks[index - 1];
      const next = chunks[index + 1];
      let skip = 0;
      let isLossBefore = before !== undefined && before.offset + before.size < offset;
      if (isSnapshot) {
        isLossBefore = newest !== undefined;
        if (newest !== undefined) {
          const found = await findOverlap(file, newest, chunk);
          skip = found?.length ?? 0;
          overlap += skip;
          isLossBefore = found === undefined;
          // What perf filled the older one up with may lie in the middle of a packet.
          const last = stretches.at(-1);
          if (found !== undefined && found.padding > 0 && last !== undefined) {
            last.length -= found.padding;
            from -= found.padding;
          }
        }
        if (skip < size) newest = chunk;
      } else if (next !== undefined) {
        const excess = offset + size - next.offset;
        if (excess > 0 && excess < padding) size -= excess;
        if (before !== undefined && before.offset + before.size - offset >= padding) {
          isLossBefore = true;
        }
      }
      const add = (start: number, end: number, isLoss: boolean): void => {
        if (end <= start && !isLoss) return;
        const length = Math.max(0, end - start);
        stretches.push({
          from,
          length,
          at: at + start,
          offset: offset + start,
          isLossBefore: isLoss,
        });
        from += length;
      };
      let start = skip;
      if (!isSnapshot) {
        for (const loss of losses) {
          const cut = loss - offset;
          if (cut <= start || cut >= size) continue;
          add(start, cut, isLossBefore);
          isLossBefore = true;
          start = cut;
        }
        if (losses.includes(offset) && before !== undefined) isLossBefore = true;
      }
      add(start, size, isLossBefore);
    }
    return new TraceStream(file, stretches, overlap);
  }

  /** Reads everything, a block at a time. */
  async *blocks(): AsyncGenerator<{ readonly bytes: Buffer; readonly isLossBefore: boolean }> {
    for (const { at, length, isLossBefore } of this.#stretches) {
      let isLoss = isLossBefore;
      for (let done = 0; done < length || isLoss; done += blockBytes) {
        const bytes = await this.#file.read(at + done, Math.min(blockBytes, length - done));
        yield { bytes, isLossBefore: isLoss };
        isLoss = false;
        if (bytes.length === 0) break;
      }
    }
  }

  /** Reads from one position to another, which must not have a loss between, a block at a time. */
  async *range(from: number, to: number): AsyncGenerator<Buffer> {
    let at = from;
    let index = this.#stretchAt(from);
    while (at < to && index < this.#stretches.length) {
      const stretch = this.#stretches[index];
      const inside = at - stretch.from;
      const length = Math.min(to - at, stretch.length - inside, blockBytes);
      if (length <= 0) {
        index++;
        continue;
      }
      const bytes = await this.#cached(stretch.at + inside, length);
      if (bytes.length === 0) return;
      yield bytes;
      at += bytes.length;
    }
  }

  /** @returns what the kernel counts for a position */
  offsetOf(position: number): number {
    const { offset, from } = this.#stretches[this.#stretchAt(position)];
    return offset + (position - from);
  }

  #stretchAt(position: number): number {
    let low = 0;
    let high = this.#stretches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#stretches[middle].from <= position) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  /** Pieces are short and lie close together. */
  async #cached(at: number, length: number): Promise<Buffer> {
    const inside = at - this.#windowAt;
    if (inside >= 0 && inside + length <= this.#window.length) {
      return this.#window.subarray(inside, inside + length);
    }
    this.#window = await this.#file.read(at, Math.max(length, searchBytes));
    this.#windowAt = at;
    return this.#window.subarray(0, length);
  }
}

interface Extent {
  readonly at: number;
  readonly size: number;
}

interface Overlap {
  /** Bytes of the newer snapshot. */
  readonly length: number;
  /** Bytes at the end of the older one that are no trace. */
  readonly padding: number;
}

/**
 * Finds how much of a snapshot the one before it holds already: the last PSB of the older one that
 * has a time is looked for in the newer one, by its time, and by its bytes where it has none.
 *
 * @returns `undefined` when the newer one does not go on where the older one ended
 */
async function findOverlap(
  file: PerfFile,
  older: Extent,
  newer: Extent,
): Promise<Overlap | undefined> {
  const last = await lastPsb(file, older);
  if (last === undefined) return undefined;
  const behind = older.at + older.size - last.at;
  let isOlder = false;
  for await (const psb of psbs(file, newer)) {
    if (last.time !== undefined) {
      if (psb.time === undefined) continue;
      if (psb.time > last.time) return undefined;
      isOlder = true;
    }
    if (psb.time !== last.time) continue;
    const length = psb.at - newer.at + behind;
    for (let pad = 0; pad < padding && pad < behind; pad++) {
      if (length - pad > newer.size) continue;
      if (await isEqual(file, last.at, psb.at, behind - pad)) {
        return { length: length - pad, padding: pad };
      }
    }
  }
  // Everything in it is older than the end of the older one.
  return isOlder ? { length: newer.size, padding: 0 } : undefined;
}

interface Psb {
  /** Position in the file. */
  readonly at: number;
  readonly time: number | undefined;
}

/** The last PSB that has a time; the last one at all where none has. */
async function lastPsb(file: PerfFile, extent: Extent): Promise<Psb | undefined> {
  let fallback: Psb | undefined;
  for (let end = extent.size; end > 0; end -= searchBytes) {
    const start = Math.max(0, end - searchBytes);
    // Long enough for a PSB+ that begins at the end of the stretch.
    const part = { at: extent.at + start, size: Math.min(extent.size - start, searchBytes + 256) };
    let found: Psb | undefined;
    for await (const psb of psbs(file, part)) {
      fallback = fallback === undefined || psb.at > fallback.at ? psb : fallback;
      if (psb.time !== undefined) found = psb;
    }
    if (found !== undefined) return found;
  }
  return fallback;
}

async function* psbs(file: PerfFile, { at, size }: Extent): AsyncGenerator<Psb> {
  const overlap = 256;
  for (let start = 0; start < size; start += searchBytes) {
    const bytes = await file.read(at + start, Math.min(searchBytes + overlap, size - start));
    for (let psb = findPsb(bytes, 0); psb >= 0 && psb < searchBytes; ) {
      yield { at: at + start + psb, time: timeOfPsb(bytes, psb) };
      psb = findPsb(bytes, psb + psbBytes);
    }
  }
}

/** @returns the time in a PSB+ */
function timeOfPsb(bytes: Buffer, psb: number): number | undefined {
  let at = psb + psbBytes;
  while (at < bytes.length) {
    const length = packetLength(bytes, at, bytes.length);
    if (length <= 0) return undefined;
    if (bytes[at] === Opcode.tsc) return tsc(bytes, at);
    if (bytes[at] === Opcode.ext && bytes[at + 1] === Ext.psbend) return undefined;
    at += length;
  }
  return undefined;
}

async function isEqual(file: PerfFile, a: number, b: number, length: number): Promise<boolean> {
  let size = 0;
  for (let done = 0; done < length; done += size) {
    // Most differ at once.
    size = Math.min(done === 0 ? 4096 : blockBytes, length - done);
    const [left, right] = [await file.read(a + done, size), await file.read(b + done, size)];
    if (!left.equals(right)) return false;
  }
  return true;
}
