import type { Address } from '../../../base/address.ts';
import type { Range } from '../guest-map.ts';

const pageSize = 4096;

/** The general registers of one CPU, in the order of their numbers (rax, rcx, rdx, rbx, rsp, ...), and where it is. */
export interface CoreThread {
  readonly id: number;
  readonly registers: readonly bigint[];
  readonly ip: bigint;
  readonly flags: bigint;
}

export interface CoreMemory {
  readonly start: Address;
  readonly bytes: Uint8Array;
}

/**
 * Makes a core file that debuggers read: registers, memory, and which file is mapped where.
 *
 * @param signal  that is told as the cause
 * @see elf(5), core(5); `struct elf_prstatus` of the Linux kernel
 */
export function coreFile(
  bitness: 32 | 64,
  threads: readonly CoreThread[],
  memory: readonly CoreMemory[],
  files: readonly Range[],
  signal: number,
): Uint8Array {
  const notes = Buffer.concat([
    ...threads.map((thread) => note(1, statusOf(bitness, thread, signal))),
    note(0x46494c45, filesNote(bitness, files)),
  ]);
  const is64 = bitness === 64;
  const headerBytes = is64 ? 64 : 52;
  const rowBytes = is64 ? 56 : 32;
  const rows = 1 + memory.length;
  const notesAt = headerBytes + rows * rowBytes;
  const header = Buffer.alloc(notesAt);
  header.writeUInt32BE(0x7f454c46, 0);
  header.set([is64 ? 2 : 1, 1, 1], 4);
  header.writeUInt16LE(4, 16);
  header.writeUInt16LE(is64 ? 62 : 3, 18);
  header.writeUInt32LE(1, 20);
  if (is64) header.writeBigUInt64LE(BigInt(headerBytes), 32);
  else header.writeUInt32LE(headerBytes, 28);
  const sizesAt = is64 ? 52 : 40;
  for (const [i, value] of [headerBytes, rowBytes, rows].entries()) {
    header.writeUInt16LE(value, sizesAt + 2 * i);
  }
  let at = Math.ceil((notesAt + notes.length) / pageSize) * pageSize;
  const parts: Uint8Array[] = [header, notes, Buffer.alloc(at - notesAt - notes.length)];
  writeRow(header, headerBytes, is64, {
    type: 4,
    offset: notesAt,
    address: 0,
    length: notes.length,
  });
  for (const [i, { start, bytes }] of memory.entries()) {
    const row = headerBytes + (i + 1) * rowBytes;
    writeRow(header, row, is64, { type: 1, offset: at, address: start, length: bytes.length });
    const padded = Math.ceil(bytes.length / pageSize) * pageSize;
    parts.push(bytes, Buffer.alloc(padded - bytes.length));
    at += padded;
  }
  return Buffer.concat(parts);
}

interface Row {
  readonly type: number;
  readonly offset: number;
  readonly address: Address;
  readonly length: number;
}

function writeRow(header: Buffer, at: number, is64: boolean, row: Row): void {
  const { type, offset, address, length } = row;
  const flags = 6;
  const inMemory = type === 1 ? length : 0;
  header.writeUInt32LE(type, at);
  if (is64) {
    header.writeUInt32LE(flags, at + 4);
    const words = [offset, address, 0, length, inMemory, type === 1 ? pageSize : 4];
    for (const [i, word] of words.entries()) header.writeBigUInt64LE(BigInt(word), at + 8 + 8 * i);
    return;
  }
  const words = [offset, address, 0, length, inMemory, flags, type === 1 ? pageSize : 4];
  for (const [i, word] of words.entries()) header.writeUInt32LE(word, at + 4 + 4 * i);
}

function note(type: number, content: Uint8Array): Uint8Array {
  const header = Buffer.alloc(20);
  header.writeUInt32LE(5, 0);
  header.writeUInt32LE(content.length, 4);
  header.writeUInt32LE(type, 8);
  header.write('CORE', 12, 'latin1');
  return Buffer.concat([header, content, Buffer.alloc((4 - (content.length % 4)) % 4)]);
}

/** Places of the numbered registers in `struct user_regs_struct`, in words. */
const places64 = [10, 11, 12, 5, 19, 4, 13, 14, 9, 8, 7, 6, 3, 2, 1, 0];
const places32 = [6, 1, 2, 0, 15, 5, 3, 4];

function statusOf(bitness: 32 | 64, thread: CoreThread, signal: number): Uint8Array {
  const is64 = bitness === 64;
  const status = Buffer.alloc(is64 ? 336 : 144);
  status.writeUInt32LE(signal, 0);
  status.writeUInt16LE(signal, 12);
  status.writeUInt32LE(thread.id, is64 ? 32 : 24);
  const registersAt = is64 ? 112 : 72;
  const set = (word: number, value: bigint): void => {
    if (is64) status.writeBigUInt64LE(BigInt.asUintN(64, value), registersAt + 8 * word);
    else status.writeUInt32LE(Number(BigInt.asUintN(32, value)), registersAt + 4 * word);
  };
  for (const [number, place] of (is64 ? places64 : places32).entries()) {
    set(place, thread.registers[number] ?? 0n);
  }
  set(is64 ? 16 : 12, thread.ip);
  set(is64 ? 18 : 14, thread.flags);
  // Code and stack segments of user space: they tell a debugger how wide the code is.
  set(is64 ? 17 : 13, is64 ? 0x33n : 0x23n);
  set(is64 ? 20 : 16, 0x2bn);
  return status;
}

/** `NT_FILE`: count, page size, then start, end and offset in pages of each, then the names. */
function filesNote(bitness: 32 | 64, files: readonly Range[]): Uint8Array {
  const wordBytes = bitness / 8;
  const named = files.filter(({ path }) => path.startsWith('/'));
  const words = Buffer.alloc((2 + 3 * named.length) * wordBytes);
  let at = 0;
  const put = (value: number): void => {
    if (bitness === 64) words.writeBigUInt64LE(BigInt(value), at);
    else words.writeUInt32LE(value, at);
    at += wordBytes;
  };
  put(named.length);
  put(pageSize);
  for (const { start, end, offset } of named) {
    put(start);
    put(end);
    put(Math.floor(offset / pageSize));
  }
  return Buffer.concat([words, Buffer.from(named.map(({ path }) => `${path}\0`).join(''))]);
}
