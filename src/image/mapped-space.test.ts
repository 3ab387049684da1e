import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressIn } from './address-space.ts';
import { parseElf } from './files/elf.ts';
import { parseImage } from './files/parse-image.ts';
import { parsePe } from './files/pe.ts';
import { ImageStore } from './image-store.ts';
import { buildAddressSpace } from './mapped-space.ts';
import { parseMemoryMap } from './maps/memory-map.ts';

/** A file of this machine that other tools can judge. */
const real = process.execPath;
const hasReadelf = spawnSync('readelf', ['--version']).status === 0;

describe.skipIf(!hasReadelf || !existsSync('/usr/lib/x86_64-linux-gnu/libc.so.6'))(
  'a real library',
  () => {
    const path = '/usr/lib/x86_64-linux-gnu/libc.so.6';
    const readelf = (flag: string): string =>
      spawnSync('readelf', [flag, '--wide', path], { encoding: 'utf8', maxBuffer: 1 << 26 }).stdout;

    test('has the segments that readelf lists', () => {
      const rows = [
        ...readelf('--segments').matchAll(/^\s+LOAD\s+0x(\w+) 0x(\w+) 0x\w+ 0x(\w+) 0x\w+ (...)/gm),
      ];
      const theirs = rows.map(([, offset, address, size, flags]) => ({
        address: Number.parseInt(address ?? '', 16),
        fileOffset: Number.parseInt(offset ?? '', 16),
        length: Number.parseInt(size ?? '', 16),
        isExecutable: (flags ?? '').includes('E'),
      }));
      expect(theirs.length).toBeGreaterThan(2);
      expect(parseElf(readFileSync(path))?.segments).toEqual(theirs);
    });

    test('has the functions that readelf lists', () => {
      const rows = [
        ...readelf('--dyn-syms').matchAll(
          /^\s+\d+: (\w+)\s+(\d+) (?:FUNC|IFUNC)\s+\S+\s+\S+\s+(\d+) ([^@\s]+)/gm,
        ),
      ];
      const theirs = new Set(
        rows.map(
          ([, address, size, , name]) => `${Number.parseInt(address ?? '', 16)} ${size} ${name}`,
        ),
      );
      const ours =
        parseElf(readFileSync(path))
          ?.symbols()
          .filter(({ isFunction }) => isFunction) ?? [];
      expect(theirs.size).toBeGreaterThan(1000);
      expect(new Set(ours.map(({ address, size, name }) => `${address} ${size} ${name}`))).toEqual(
        theirs,
      );
    });
  },
);

describe('an address space', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
  writeFileSync(
    join(folder, 'Dump.bin'),
    Uint8Array.from({ length: 0x3000 }, (_, i) => i >> 12),
  );
  const store = new ImageStore([folder]);
  const build = (text: string) => buildAddressSpace(parseMemoryMap(text, 'map'), store);

  test('shows the part of a file that the map names', async () => {
    const space = await build('10000-12000 r-xp 00001000 00:00 0 /x/Dump.bin');
    expect(space.find(0x10000)?.bytes[0]).toBe(1);
    expect(space.find(0x11fff)?.bytes.at(-1)).toBe(2);
    expect(space.find(0x12000)).toBeUndefined();
    expect(space.modules[0]).toEqual({ path: '/x/Dump.bin', name: 'Dump.bin', base: 0xf000 });
  });

  test('gives one module the same base, whether its code alone is listed or all of it', async () => {
    const code = '11000-12000 r-xp 00001000 00:00 0 /x/Dump.bin';
    const space = await build(`10000-11000 r--p 00000000 00:00 0 /x/Dump.bin\n${code}`);
    expect(space.modules).toEqual((await build(code)).modules);
  });

  test('ends a section where the file ends', async () => {
    const space = await build('10000-18000 r-xp 00002000 00:00 0 /x/Dump.bin');
    expect(space.find(0x10fff)).toBeDefined();
    expect(space.find(0x11000)).toBeUndefined();
    expect(space.moduleAt(0x11000)).toBe(0);
    expect(space.moduleAt(0x18000)).toBe(-1);
  });

  test('finds Windows files without regard to case, and lists missing ones', async () => {
    const table = `Pid Process Base InLoad InInit InMem MappedPath
1 a.exe 0x00010000 True True True \\x\\DUMP.BIN
1 a.exe 0x00080000 True True True \\x\\gone.dll
`;
    const space = await build(table);
    expect(space.find(0x10000)?.bytes.length).toBe(0x3000);
    expect(space.modules[0]?.name).toBe('dump.bin');
    expect(space.missing).toEqual(['\\x\\gone.dll']);
    expect(space.flat).toEqual(['\\x\\DUMP.BIN']);
  });

  test('tells the 32-bit library of a name from the 64-bit one', async () => {
    const bin = mkdtempSync(join(tmpdir(), 'wayward-'));
    mkdirSync(join(bin, 'SysWOW64'));
    writeFileSync(join(bin, 'ntdll.dll'), new Uint8Array(0x2000).fill(64));
    writeFileSync(join(bin, 'SysWOW64', 'NTDLL.dll'), new Uint8Array(0x2000).fill(32));
    const table = `Pid Process Base InLoad InInit InMem MappedPath
1 a.exe 0x77000000 True True True \\Windows\\SysWOW64\\ntdll.dll
1 a.exe 0x78000000 True True True \\Windows\\System32\\ntdll.dll
1 a.exe 0x79000000 True True True \\Windows\\SysWOW64\\gone.dll
`;
    const space = await buildAddressSpace(parseMemoryMap(table, 'map'), new ImageStore([bin]));
    expect(space.modules.map(({ name }) => name)).toEqual([
      'syswow64\\ntdll.dll',
      'ntdll.dll',
      'syswow64\\gone.dll',
    ]);
    expect(space.find(0x77000000)?.bytes[0]).toBe(32);
    expect(space.find(0x78000000)?.bytes[0]).toBe(64);
    expect(space.missing).toEqual(['\\Windows\\SysWOW64\\gone.dll']);
    // A folder that has the libraries of one kind only serves both, as it always did.
    rmSync(join(bin, 'SysWOW64'), { recursive: true });
    const flat = await buildAddressSpace(parseMemoryMap(table, 'map'), new ImageStore([bin]));
    expect(flat.find(0x77000000)?.bytes[0]).toBe(64);
  });

  test('gives two maps the same bytes, so that decoded code can be shared', async () => {
    const at = (start: string) =>
      build(`${start}000-${start}fff r-xp 00001000 00:00 0 /x/Dump.bin`);
    expect((await at('20')).find(0x20010)?.bytes).toBe((await at('40')).find(0x40010)?.bytes);
  });

  test('100,000 lines are mapped, whatever they show', async () => {
    for (const path of ['/x/Dump.bin', '/x/gone']) {
      const lines = Array.from({ length: 100_000 }, (_, i) => {
        const at = (0x10000 + i * 0x1000).toString(16);
        return `${at}-${(0x11000 + i * 0x1000).toString(16)} r-xp 00002000 00:00 0 ${path}`;
      });
      const space = await build(lines.join('\n'));
      expect(space.sections.length).toBe(path === '/x/Dump.bin' ? 100_000 : 0);
      expect(space.moduleAt(0x10000 + 99_999 * 0x1000)).toBe(99_999);
    }
  });

  test('names the folder that cannot be read', async () => {
    const map = parseMemoryMap('1000-2000 r-xp 0 00:00 0 /a', 'map');
    await expect(buildAddressSpace(map, new ImageStore(['/nowhere']))).rejects.toThrow(
      '/nowhere: cannot be read',
    );
  });
});

describe('hostile headers', () => {
  const elf = readFileSync(real).subarray(0, 1 << 16);

  test('what is no ELF or PE is a dump', () => {
    expect(parseImage(new Uint8Array(100), false).kind).toBe('raw');
    expect(parseImage(new Uint8Array(0), false).segments[0]?.length).toBe(0);
    // Cut off, its segments pass the end: a memory dump that begins with an ELF header.
    expect(parseImage(elf, false).kind).toBe('raw');
    expect(parseImage(readFileSync(real), true).kind).toBe('raw');
  });

  test('flipped bytes of an ELF file give an image inside the file, or none', () => {
    const path = ['/usr/bin/true', '/bin/true', real].find((file) => existsSync(file)) ?? real;
    const whole = new Uint8Array(readFileSync(path));
    const flips = fc.array(fc.tuple(fc.nat(1023), fc.nat(255)), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(flips, (changes) => {
        const bytes = whole.slice();
        for (const [at, value] of changes) bytes[at] = value;
        const image = parseElf(bytes);
        for (const { fileOffset, length } of image?.segments ?? []) {
          expect(fileOffset).toBeGreaterThanOrEqual(0);
          expect(fileOffset + length).toBeLessThanOrEqual(bytes.length);
        }
        image?.symbols();
      }),
      { numRuns: 400, seed: 5 },
    );
  });

  test('thousands of segments in thousands of regions are refused', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
    const bytes = new Uint8Array(64 + 4096 * 56 + 8192);
    const view = new DataView(bytes.buffer);
    bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
    view.setBigUint64(32, 64n, true);
    view.setUint16(54, 56, true);
    view.setUint16(56, 4096, true);
    for (let i = 0; i < 4096; i++) {
      const at = 64 + 56 * i;
      view.setUint32(at, 1, true);
      view.setUint32(at + 4, 5, true);
      view.setBigUint64(at + 16, BigInt(i), true);
      view.setBigUint64(at + 32, 1n, true);
    }
    writeFileSync(join(folder, 'hostile.so'), bytes);
    const row = (i: number): string =>
      `1 a.exe 0x${(0x10000 + i * 0x1000).toString(16).padStart(8, '0')} True True True /x/hostile.so\n`;
    const rows = Array.from({ length: 1000 }, (_, i) => row(i)).join('');
    const map = parseMemoryMap(`Pid Process Base InLoad InInit InMem MappedPath\n${rows}`, 'map');
    await expect(buildAddressSpace(map, new ImageStore([folder]))).rejects.toThrow(
      '/x/hostile.so: the memory map and the headers of its files ask for more than 1048576 sections',
    );
  });

  /** A PE file with one section of code, by the format's fields. */
  function tinyPe(): Uint8Array {
    const bytes = new Uint8Array(0x600);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 0x5a4d, true);
    view.setUint32(60, 0x80, true);
    view.setUint32(0x80, 0x4550, true);
    view.setUint16(0x86, 1, true);
    view.setUint16(0x94, 224, true);
    view.setUint16(0x98, 0x10b, true);
    view.setUint32(0x98 + 60, 0x200, true);
    const section = 0x98 + 224;
    view.setUint32(section + 8, 0x300, true);
    view.setUint32(section + 12, 0x1000, true);
    view.setUint32(section + 16, 0x400, true);
    view.setUint32(section + 20, 0x200, true);
    view.setUint32(section + 36, 0x60000020, true);
    return bytes;
  }

  test('a PE file is laid out by its sections', () => {
    expect(parsePe(tinyPe())?.segments).toEqual([
      { address: 0, fileOffset: 0, length: 0x200, isExecutable: false },
      { address: 0x1000, fileOffset: 0x200, length: 0x300, isExecutable: true },
    ]);
  });

  test('flipped bytes of a PE file give an image inside the file, or none', () => {
    const flips = fc.array(fc.tuple(fc.nat(0x1a0), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(flips, (changes) => {
        const bytes = tinyPe();
        for (const [at, value] of changes) bytes[at] = value;
        const image = parsePe(bytes);
        for (const { fileOffset, length } of image?.segments ?? []) {
          expect(fileOffset + length).toBeLessThanOrEqual(bytes.length);
        }
        image?.symbols();
      }),
      { numRuns: 2000, seed: 6 },
    );
  });
});

test('a place of a file whose data is mapped from another offset lies where its code is', () => {
  // RELRO data at 0x404000 comes from 0x3000 of the file: by that, the file begins at 0x401000.
  const modules = [
    { name: 'tool', path: '/bin/tool', base: 0x400000 },
    { name: 'tool', path: '/bin/tool', base: 0x401000 },
    { name: 'other', path: '/lib/other', base: 0x7000 },
  ];
  const moduleAt = (address: number): number =>
    address < 0x400000 ? 2 : address < 0x404000 ? 0 : 1;
  for (const space of [
    { modules, moduleAt },
    { modules: modules.with(0, modules[1]!).with(1, modules[0]!), moduleAt: swapped(moduleAt) },
  ]) {
    expect(addressIn(space, 'tool', 0x11fa)).toBe(0x4011fa);
    expect(addressIn(space, 'other', 0x10)).toBe(0x7010);
    expect(addressIn(space, 'nothing', 0)).toBeUndefined();
  }
});

/** The first two modules in the other order. */
function swapped(moduleAt: (address: number) => number): (address: number) => number {
  return (address) => [1, 0, 2][moduleAt(address)]!;
}
