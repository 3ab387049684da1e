import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { notReadable } from '../base/files/failure.ts';
import { isGzip, streamMaybeGzip } from '../base/files/read.ts';

const chunkBytes = 1 << 16;
const trailerBytes = 8;
/** Of a gzip member: magic, the one method that there is. */
const memberStart = Buffer.from([0x1f, 0x8b, 8]);

/**
 * A short mark of a file's content, inflated: equal contents have equal marks, however they are
 * compressed; unequal ones mostly differ. A gzip file of one member says it itself, so that it is read
 * but not inflated. Bytes behind the end of the gzip data, which readers pass over, spoil it.
 *
 * @returns CRC-32 and length modulo 2^32
 * @throws UserError when the file cannot be read
 * @see RFC 1952, section 2.3.1
 */
export async function contentMark(path: string): Promise<string> {
  try {
    const file = await open(path);
    const buffer = spare.pop() ?? Buffer.allocUnsafe(trailerBytes + chunkBytes);
    try {
      const found = await markOf(file, buffer);
      if (found !== undefined) return found;
    } finally {
      spare.push(buffer);
      await file.close();
    }
  } catch (cause) {
    throw notReadable(path, cause);
  }
  let sum = 0;
  let size = 0;
  for await (const chunk of streamMaybeGzip(path)) {
    sum = crc32(chunk, sum);
    size += chunk.length;
  }
  return show(sum, size);
}

/** As many as were read at the same time: of 100,000 small files, making one for each takes half of the time. */
const spare: Buffer[] = [];

/** @returns `undefined` for a gzip file that may have several members: only the last one's sum is at hand */
async function markOf(file: FileHandle, buffer: Buffer): Promise<string | undefined> {
  // The end of the chunk before stands in front of each: a member may start across both.
  const kept = memberStart.length - 1;
  let end = 0;
  let isCompressed = false;
  let sum = 0;
  let size = 0;
  for (;;) {
    const carried = Math.min(end, trailerBytes);
    buffer.copy(buffer, 0, end - carried, end);
    const { bytesRead } = await file.read(buffer, carried, chunkBytes, null);
    end = carried + bytesRead;
    const isFirst = size === 0;
    if (bytesRead === 0) break;
    const bytes = buffer.subarray(carried, end);
    if (isFirst) isCompressed = isGzip(bytes);
    size += bytesRead;
    if (!isCompressed) sum = crc32(bytes, sum);
    else {
      const from = isFirst ? 1 : Math.max(0, carried - kept);
      if (buffer.subarray(from, end).includes(memberStart)) return undefined;
    }
  }
  if (!isCompressed) return show(sum, size);
  // Cut off: whoever reads it will say so.
  if (end < trailerBytes) return undefined;
  return show(buffer.readUInt32LE(end - 8), buffer.readUInt32LE(end - 4));
}

function show(sum: number, size: number): string {
  return `${sum}:${size % 2 ** 32}`;
}
