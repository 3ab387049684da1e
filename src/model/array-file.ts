import { UserError } from '../base/errors.ts';
import { readWholeFile } from '../base/files/read.ts';
import { seal, unseal } from '../base/files/sealed.ts';
import { writeFileAtomic } from '../base/files/write.ts';

export type NumberArray = Float32Array | Int32Array;

/** `WWA2`, little-endian. */
const magic = 0x32415757;

/** @returns the bytes of an array, shared with it */
export function bytesOf(array: NumberArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/**
 * Writes arrays of 32-bit numbers into one file: magic, number of arrays, their lengths, their
 * content, a checksum.
 */
export async function writeArrays(path: string, arrays: readonly NumberArray[]): Promise<void> {
  const header = Int32Array.of(magic, arrays.length, ...arrays.map(({ length }) => length));
  await writeFileAtomic(path, seal(bytesOf(header), ...arrays.map(bytesOf)));
}

/** The arrays that a word of types stands for: `if` = an `Int32Array` and a `Float32Array`. */
export type ArraysOf<Types extends string> = Types extends `${infer First}${infer Rest}`
  ? readonly [First extends 'f' ? Float32Array : Int32Array, ...ArraysOf<Rest>]
  : readonly [];

/**
 * Reads what `writeArrays` wrote.
 *
 * @param types  `f` or `i` for each array, which the file does not say
 * @throws UserError `not-readable`, `file-damaged`, `arrays-damaged`
 */
export async function readArrays<Types extends string>(
  path: string,
  types: Types,
): Promise<ArraysOf<Types>> {
  const content = unseal(await readWholeFile(path), path);
  // Numbers may begin at every fourth byte; a small file need not.
  const bytes = content.byteOffset % 4 === 0 ? content : Buffer.from(content);
  const { buffer, byteOffset } = bytes;
  const damaged = (why: string): UserError =>
    new UserError('arrays-damaged', why, { category: 'input', path });
  const headerLength = (2 + types.length) * 4;
  if (bytes.length < headerLength || bytes.length % 4 !== 0) throw damaged('the file is cut off');
  const header = new Int32Array(buffer, byteOffset, 2 + types.length);
  if (header[0] !== magic || header[1] !== types.length) throw damaged('is no file of ours');
  const lengths = [...header.subarray(2)];
  const expected = headerLength + lengths.reduce((sum, length) => sum + length * 4, 0);
  if (lengths.some((length) => length < 0) || expected !== bytes.length) {
    throw damaged(`has ${bytes.length} bytes where its header says ${expected}`);
  }
  let offset = headerLength;
  const arrays: readonly NumberArray[] = lengths.map((length, index) => {
    const at = byteOffset + offset;
    offset += length * 4;
    return types[index] === 'f'
      ? new Float32Array(buffer, at, length)
      : new Int32Array(buffer, at, length);
  });
  // One array for each letter, of its type: just made so.
  return arrays as ArraysOf<Types>;
}
