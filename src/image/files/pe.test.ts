import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parsePe } from './pe.ts';

/** Real programs of other people: the launchers that Python's installers carry for Windows. */
const folder = spawnSync(
  'python3',
  ['-c', 'import pip._vendor.distlib as d; print(d.__path__[0])'],
  {
    encoding: 'utf8',
  },
).stdout?.trim();
const programs = existsSync(folder ?? '')
  ? readdirSync(folder).filter((name) => /^[tw](?:32|64)\.exe$/.test(name))
  : [];
const hasObjdump = spawnSync('objdump', ['--version']).status === 0;

describe.skipIf(programs.length === 0 || !hasObjdump)('real programs', () => {
  const objdump = (name: string): string[] =>
    spawnSync('objdump', ['-h', '-p', join(folder, name)], { encoding: 'utf8' }).stdout.split('\n');

  test.each(programs)('%s has the sections that objdump lists', (name) => {
    const lines = objdump(name);
    const base = Number.parseInt(/ImageBase\s+(\w+)/.exec(lines.join('\n'))?.[1] ?? '', 16);
    const theirs = lines.flatMap((line, i) => {
      const row = /^\s+\d+ \S+\s+(\w{8})\s+(\w{8,16})\s+\w+\s+(\w{8})\s/.exec(line);
      if (row === null) return [];
      const [length, address, fileOffset] = row.slice(1).map((n) => Number.parseInt(n, 16));
      const isExecutable = (lines[i + 1] ?? '').includes('CODE');
      return [{ address: (address ?? 0) - base, fileOffset, length, isExecutable }];
    });
    const image = parsePe(readFileSync(join(folder, name)));
    expect(theirs.length).toBeGreaterThan(3);
    expect(image?.segments.slice(1)).toEqual(theirs);
    expect(image?.bits).toBe(name.includes('64') ? 64 : 32);
  });

  test.each(programs)('%s, dumped from memory, is known as a dump by its content', (name) => {
    const file = readFileSync(join(folder, name));
    const inFile = parsePe(file);
    const size = /SizeOfImage\s+(\w+)/.exec(objdump(name).join('\n'))?.[1] ?? '';
    const memory = new Uint8Array(Number.parseInt(size, 16));
    for (const { address, fileOffset, length } of inFile?.segments ?? []) {
      memory.set(file.subarray(fileOffset, fileOffset + length), address);
    }
    const dumped = parsePe(memory);
    expect(dumped?.segments.map(({ address, length }) => [address, length])).toEqual(
      inFile?.segments.map(({ address, length }) => [address, length]),
    );
    for (const { address, fileOffset } of dumped?.segments ?? []) expect(fileOffset).toBe(address);
    expect(dumped?.bits).toBe(inFile?.bits);
  });
});

/** A library that exports by name, by the fields of the format. */
function library(names: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(0x3000);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x5a4d, true);
  view.setUint32(60, 0x80, true);
  view.setUint32(0x80, 0x4550, true);
  view.setUint16(0x86, 1, true);
  view.setUint16(0x94, 240, true);
  view.setUint16(0x98, 0x20b, true);
  view.setUint32(0x98 + 60, 0x200, true);
  const directory = 0x98 + 112;
  view.setUint32(directory, 0x1000, true);
  view.setUint32(directory + 4, 0x800, true);
  const section = 0x98 + 240;
  [0x2000, 0x1000, 0x2000, 0x200].forEach((value, i) => {
    view.setUint32(section + 8 + 4 * i, value, true);
  });
  view.setUint32(section + 36, 0x60000020, true);
  const at = (rva: number): number => rva - 0x1000 + 0x200;
  const [functions, nameTable, ordinals] = [0x1100, 0x1200, 0x1300];
  view.setUint32(at(0x1000 + 20), names.length, true);
  view.setUint32(at(0x1000 + 24), names.length, true);
  view.setUint32(at(0x1000 + 28), functions, true);
  view.setUint32(at(0x1000 + 32), nameTable, true);
  view.setUint32(at(0x1000 + 36), ordinals, true);
  names.forEach((name, i) => {
    const text = 0x1400 + 32 * i;
    // Ordinals count the other way round than names.
    const ordinal = names.length - 1 - i;
    view.setUint32(at(functions + 4 * ordinal), 0x2000 + 0x10 * i, true);
    view.setUint32(at(nameTable + 4 * i), text, true);
    view.setUint16(at(ordinals + 2 * i), ordinal, true);
    Buffer.from(`${name}\0`).copy(bytes, at(text));
  });
  return bytes;
}

describe('exports', () => {
  test('are symbols, by address', () => {
    expect(parsePe(library(['CreateFileW', 'ReadFile', '_alloca']))?.symbols()).toEqual([
      { address: 0x2000, size: 0, name: 'CreateFileW', isFunction: true },
      { address: 0x2010, size: 0, name: 'ReadFile', isFunction: true },
      { address: 0x2020, size: 0, name: '_alloca', isFunction: true },
    ]);
  });

  test('that lead to another library are left out', () => {
    const bytes = library(['Own', 'Forwarded']);
    new DataView(bytes.buffer).setUint32(0x300, 0x1500, true);
    expect(
      parsePe(bytes)
        ?.symbols()
        .map(({ name }) => name),
    ).toEqual(['Own']);
  });
});

describe('hostile headers', () => {
  test('thousands of sections are refused, many that overlap are read in bounded time', () => {
    const bytes = new Uint8Array(1 << 20);
    bytes.set(library(['a']));
    const view = new DataView(bytes.buffer);
    view.setUint16(0x86, 60_000, true);
    expect(parsePe(bytes)).toBeUndefined();
    view.setUint16(0x86, 256, true);
    const section = 0x98 + 240;
    for (let i = 0; i < 256; i++) {
      [0x8_0000, 0x1000 + i, 0x8_0000, 0x200 + i].forEach((value, field) => {
        view.setUint32(section + 40 * i + 8 + 4 * field, value, true);
      });
    }
    const image = parsePe(bytes);
    expect(image?.segments).toHaveLength(257);
    expect(image?.symbols().length).toBeLessThanOrEqual(1 << 16);
  });

  test('a table of a billion exports is cut', () => {
    const bytes = library(['a', 'b']);
    const view = new DataView(bytes.buffer);
    view.setUint32(0x200 + 24, 2 ** 31, true);
    view.setUint32(0x200 + 20, 2 ** 31, true);
    expect(parsePe(bytes)?.symbols().length).toBeLessThan(1 << 16);
  });

  test('one long name that thousands share is read a few times', () => {
    const bytes = new Uint8Array(1 << 20);
    bytes.set(library(['a']));
    const view = new DataView(bytes.buffer);
    const section = 0x98 + 240;
    view.setUint32(section + 8, 0xf_0000, true);
    view.setUint32(section + 16, 0xf_0000, true);
    // 60,000 names, at one place: 4,096 letters without an end.
    view.setUint32(0x200 + 24, 60_000, true);
    view.setUint32(0x200 + 20, 60_000, true);
    view.setUint32(0x200 + 28, 0x5_0000, true);
    view.setUint32(0x200 + 32, 0x1_0000, true);
    view.setUint32(0x200 + 36, 0x8_0000, true);
    for (let i = 0; i < 60_000; i++) view.setUint32(0x1_0000 - 0xe00 + 4 * i, 0xa_0000, true);
    for (let i = 0; i < 60_000; i++) view.setUint32(0x5_0000 - 0xe00 + 4 * i, 0x2000, true);
    bytes.fill(97, 0xa_0000 - 0xe00, 0xa_2000);
    const symbols = parsePe(bytes)?.symbols() ?? [];
    expect(symbols[0]?.name).toHaveLength(4096);
    expect(symbols.length).toBeLessThan(1100);
  });
});
