import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type GoFunction, readGoFunctions } from './go-functions.ts';
import { ImageMemory } from './image-memory.ts';
import type { Pointers } from './image-tables.ts';

const code = 0x1000;
const data = 0x8000;
const functions: readonly GoFunction[] = [
  { start: code, end: code + 0x20, recovery: undefined },
  { start: code + 0x20, end: code + 0x80, recovery: code + 0x55 },
  { start: code + 0x80, end: code + 0x90, recovery: undefined },
];
const none: Pointers = { places: new Float64Array(0), targets: new Float64Array(0) };

function memoryOf(bytes: Uint8Array): ImageMemory {
  return new ImageMemory([
    { start: code, end: code + 0x100, bytes: new Uint8Array(0x100), isExecutable: true },
    { start: data, end: data + bytes.length, bytes, isExecutable: false },
  ]);
}

/** The table as the linker of a release writes it, behind `before` other bytes. */
function table(magic: number, bits: 32 | 64, before: number, textStart: number = code): Buffer {
  const bytes = Buffer.alloc(before + 0x400);
  const size = bits / 8;
  const word = (at: number, value: number): void => {
    if (bits === 64) bytes.writeBigUInt64LE(BigInt(value), before + at);
    else bytes.writeUInt32LE(value, before + at);
  };
  bytes.writeUInt32LE(magic, before);
  bytes[before + 6] = 1;
  bytes[before + 7] = size;
  word(8, functions.length);
  const isOffsets = magic === 0xfffffff0 || magic === 0xfffffff1;
  const isDirect = magic === 0xfffffffb;
  const list = isDirect ? 8 + size : 0x80;
  if (isOffsets) word(8 + 2 * size, textStart);
  if (!isDirect) word(8 + (isOffsets ? 7 : 6) * size, list);
  const entrySize = isOffsets ? 4 : size;
  const put = (at: number, value: number): void => {
    if (entrySize === 4) bytes.writeUInt32LE(value, before + at);
    else word(at, value);
  };
  const starts = [...functions.map(({ start }) => start), functions.at(-1)?.end ?? 0];
  for (const [i, start] of starts.entries()) {
    put(list + 2 * entrySize * i, isOffsets ? start - code : start);
    if (i === functions.length) break;
    const description = 0x200 + 0x40 * i;
    put(list + entrySize * (2 * i + 1), isDirect ? description : description - list);
    const { recovery } = functions[i];
    const skipped = (isOffsets ? 4 : size) + 8;
    bytes.writeUInt32LE(
      recovery === undefined ? 0 : recovery - start,
      before + description + skipped,
    );
  }
  return bytes;
}

describe.each([
  ['Go 1.2', 0xfffffffb],
  ['Go 1.16', 0xfffffffa],
  ['Go 1.18', 0xfffffff0],
  ['Go 1.20', 0xfffffff1],
])('the table of functions of %s', (_, magic) => {
  test.each([32, 64] as const)('is found and read, %i bits', (bits) => {
    const memory = memoryOf(table(magic, bits, 48));
    expect(readGoFunctions(memory, { bits, pointers: none })).toEqual(functions);
    // A table of the other kind of pointers is none.
    const other = bits === 32 ? 64 : 32;
    expect(readGoFunctions(memory, { bits: other, pointers: none })).toEqual([]);
  });

  test('leads nowhere where it is damaged', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(0x3ff), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        fc.nat(0x400),
        (changes, length) => {
          const bytes = table(magic, 64, 0);
          for (const [at, value] of changes) bytes[at] = value;
          const memory = memoryOf(bytes.subarray(0, length));
          for (const { start, end } of readGoFunctions(memory, { bits: 64, pointers: none })) {
            expect(memory.isCode(start)).toBe(true);
            expect(end).toBeGreaterThan(start);
          }
        },
      ),
      { seed: 1 },
    );
  });
});

test('where code begins may be set by the loader', () => {
  const memory = memoryOf(table(0xfffffff0, 64, 0, 0));
  const pointers = { places: Float64Array.of(data + 24), targets: Float64Array.of(code) };
  expect(readGoFunctions(memory, { bits: 64, pointers })).toEqual(functions);
});

test('more functions than a call has arguments are read, and tables that share a list in bounded time', () => {
  const count = 200_000;
  const text = new Uint8Array(count);
  const header = (bytes: Buffer, at: number, list: number): void => {
    bytes.writeUInt32LE(0xfffffff1, at);
    bytes.set([1, 8], at + 6);
    bytes.writeBigUInt64LE(BigInt(count), at + 8);
    bytes.writeBigUInt64LE(BigInt(0x10_0000), at + 24);
    bytes.writeBigUInt64LE(BigInt(list - at), at + 8 + 7 * 8);
  };
  const headers = 400;
  const list = headers * 80;
  const bytes = Buffer.alloc(list + 8 * (count + 1));
  for (let i = 0; i <= count; i++) bytes.writeUInt32LE(i, list + 8 * i);
  const read = () => {
    const memory = new ImageMemory([
      { start: 0x10_0000, end: 0x10_0000 + count, bytes: text, isExecutable: true },
      { start: 0x100_0000, end: 0x100_0000 + bytes.length, bytes, isExecutable: false },
    ]);
    let asked = 0;
    const { isCode } = memory;
    memory.isCode = (address) => {
      asked++;
      return isCode.call(memory, address);
    };
    return { functions: readGoFunctions(memory, { bits: 64, pointers: none }), asked: () => asked };
  };
  header(bytes, 0, list);
  expect(read().functions).toHaveLength(count);
  // Many tables, all of which fail at the last entry of the one list.
  for (let i = 0; i < headers; i++) header(bytes, i * 80, list);
  bytes.writeUInt32LE(0, list + 8 * count);
  const { functions: found, asked } = read();
  expect(found).toEqual([]);
  expect(asked()).toBeLessThanOrEqual(1 << 22);
});
