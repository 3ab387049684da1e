import { crc32 } from 'node:zlib';
import { UserError } from '../errors.ts';
import { isRecord } from '../values.ts';
import type { Bytes } from './file-bytes.ts';

/**
 * Checksums for files that Wayward reads back. A flipped bit in them would otherwise become other
 * weights, another threshold or another verdict without a word. It guards against damage, not against
 * somebody who changes a file on purpose: that one can write the sum, too.
 *
 * Bytes end in a trailer of eight: `WSUM` and the CRC-32 of all before it. JSON objects have a last
 * member `sum`, the CRC-32 of the rest as `JSON.stringify` writes it, in eight hexadecimal digits, so
 * that it does not depend on indentation. CRC-32 finds every damage that spans up to 32 bits, and
 * misses one of 2^32 others.
 */
const magic = Buffer.from('WSUM', 'latin1');
const trailerBytes = magic.length + 4;

/** Bytes that are looked at together. */
const pieceBytes = 1 << 20;

/** @returns the parts one after the other, with the trailer */
export function seal(...parts: readonly Uint8Array[]): Buffer {
  const sealed = Buffer.concat([...parts, Buffer.alloc(trailerBytes)]);
  const end = sealed.length - trailerBytes;
  magic.copy(sealed, end);
  // Over the whole, not part by part: an empty part sets the running sum of Node 22 to 0.
  sealed.writeUInt32LE(crc32(sealed.subarray(0, end)), end + magic.length);
  return sealed;
}

/**
 * @param path  for messages only
 * @returns the bytes before the trailer, shared with `bytes`
 * @throws UserError `file-damaged`
 */
export function unseal<T extends Uint8Array>(bytes: T, path: string): T {
  const end = Math.max(0, bytes.length - trailerBytes);
  const content = bytes.subarray(0, end) as T;
  if (crc32(content) !== sumIn(bytes.subarray(end), path)) throw damaged(path, differs);
  return content;
}

/**
 * The check of `unseal`, without holding all bytes at once.
 *
 * @param path  for messages only
 * @returns how many bytes there are before the trailer
 * @throws UserError `file-damaged`, and what reading throws
 */
export async function checkSeal(bytes: Bytes, path: string): Promise<number> {
  const end = Math.max(0, bytes.length - trailerBytes);
  const expected = sumIn(await bytes.read(end, trailerBytes), path);
  let sum = 0;
  for (let at = 0; at < end; at += pieceBytes) {
    sum = crc32(await bytes.read(at, Math.min(pieceBytes, end - at)), sum);
  }
  if (sum !== expected) throw damaged(path, differs);
  return end;
}

function sumIn(trailer: Uint8Array, path: string): number {
  const bytes = Buffer.from(trailer.buffer, trailer.byteOffset, trailer.length);
  if (bytes.length < trailerBytes || !magic.equals(bytes.subarray(0, magic.length))) {
    throw damaged(path, 'is cut off or damaged: it does not end in its checksum');
  }
  return bytes.readUInt32LE(magic.length);
}

/** @returns JSON of one object with its sum, on lines of its own when `indent` is given */
export function sealJson(value: object, indent?: number): string {
  return JSON.stringify({ ...value, sum: sumOf(value) }, undefined, indent);
}

/**
 * @param path  for messages only
 * @param place  where in the file, as messages say it: `line 3`
 * @returns the object without its sum
 * @throws UserError `file-damaged`
 */
export function unsealJson(text: string, path: string, place?: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged(path, 'is cut off or damaged: it is no JSON', place, cause);
  }
  if (!isRecord(value)) throw damaged(path, 'is no JSON object', place);
  const { sum, ...rest } = value;
  if (sum === undefined)
    throw damaged(path, 'has no checksum: it was changed, or written by an earlier version', place);
  if (sum !== sumOfParsed(rest)) throw damaged(path, differs, place);
  return rest;
}

const differs = 'was damaged or changed since it was written: the checksum differs';

/** @returns `undefined` for what is nested so deep that writing it takes more stack than there is; reading did not */
function sumOfParsed(value: object): string | undefined {
  try {
    return sumOf(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function sumOf(value: object): string {
  return crc32(JSON.stringify(value)).toString(16).padStart(8, '0');
}

function damaged(path: string, why: string, place?: string, cause?: unknown): UserError {
  return new UserError('file-damaged', place === undefined ? why : `${place}: ${why}`, {
    category: 'input',
    path,
    ...(place === undefined ? {} : { place }),
    cause,
  });
}
