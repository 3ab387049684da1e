import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../base/errors.ts';
import { parseMemoryMap, parseMemoryMaps, readMemoryMap } from './memory-map.ts';

const parse = (text: string) => parseMemoryMap(text, 'mapping.txt').regions;

describe('/proc/PID/maps', () => {
  // The example of proc_pid_maps(5).
  const example = `00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon
00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/dbus-daemon
00e03000-00e24000 rw-p 00000000 00:00 0           [heap]
35b1800000-35b1820000 r-xp 00000000 08:02 135522  /usr/lib64/ld-2.15.so
ffffffffff600000-ffffffffff601000 r-xp 00000000 00:00 0 [vsyscall]
`;

  test('gives ranges, offsets, permissions and paths, kernel addresses below zero', () => {
    const regions = parse(example);
    expect(regions.length).toBe(5);
    expect(regions[0]).toEqual({
      start: -0xa00000,
      end: -0x9ff000,
      path: '[vsyscall]',
      fileOffset: 0,
      isExecutable: true,
    });
    expect(regions[2]).toEqual({
      start: 0x651000,
      end: 0x652000,
      path: '/usr/bin/dbus-daemon',
      fileOffset: 0x51000,
      isExecutable: false,
    });
  });

  test('keeps spaces in paths and drops the mark of deleted files', () => {
    const [region] = parse('1000-2000 r-xp 00000000 08:02 1   /tmp/a b/c d (deleted)');
    expect(region.path).toBe('/tmp/a b/c d');
  });

  test.each([
    ['2000-1000 r-xp 0 00:00 0 /a', 'line 1: the range ends before it starts'],
    [
      '1000-3000 r-xp 0 00:00 0 /a\n\n2000-4000 r-xp 0 00:00 0 /b',
      'line 3: two regions overlap: 0x1000-0x3000 /a (line 1) and 0x2000-0x4000 /b (line 3)',
    ],
    ['1000-2000 r-xp 0 00:00 0 /a\nrubbish', 'line 2: no row of a memory map: "rubbish"'],
    ['0123456789abcdef-f123456789abcdef r-xp 0 00:00 0', 'line 1: an address is not canonical'],
    ['\n\n', 'the memory map has no regions'],
  ])('%j is refused', (text, message) => {
    expect(() => parse(text)).toThrow(`mapping.txt: ${message}`);
  });

  test('100,000 lines are read', () => {
    const lines = Array.from({ length: 100_000 }, (_, i) => {
      const at = (0x10000 + i * 0x1000).toString(16);
      return `${at}-${(0x11000 + i * 0x1000).toString(16)} r-xp 00000000 00:00 0 /f${i}`;
    });
    expect(parse(lines.join('\n')).length).toBe(100_000);
  });
});

describe('ldrmodules', () => {
  const volatility2 = `Pid      Process              Base               InLoad InInit InMem MappedPath
-------- -------------------- ------------------ ------ ------ ----- ----------
    1528 AcroRd32.exe         0x0000000073960000 True   True   True  \\Windows\\System32\\wow64.dll
    1528 AcroRd32.exe         0x0000000000fd0000 True   False  True  \\Program Files (x86)\\Adobe\\Reader 9.0\\Reader\\AcroRd32.exe
    1528 AcroRd32.exe         0x0000000075130000 False  False  False
`;

  test('of Volatility 2 give bases; regions end where the next one starts', () => {
    expect(parse(volatility2)).toEqual([
      {
        start: 0xfd0000,
        end: 0x73960000,
        path: '\\Program Files (x86)\\Adobe\\Reader 9.0\\Reader\\AcroRd32.exe',
        fileOffset: undefined,
        isExecutable: undefined,
      },
      {
        start: 0x73960000,
        end: 0x75130000,
        path: '\\Windows\\System32\\wow64.dll',
        fileOffset: undefined,
        isExecutable: undefined,
      },
      { start: 0x75130000, end: 2 ** 32, path: '', fileOffset: undefined, isExecutable: undefined },
    ]);
  });

  test('of a 32-bit profile have short addresses', () => {
    const text = `Pid      Process              Base       InLoad InInit InMem MappedPath
-------- -------------------- ---------- ------ ------ ----- ----------
     608 my program.exe       0x00400000 True   False  True  \\a b.exe
`;
    expect(parse(text)[0]).toMatchObject({ start: 0x400000, path: '\\a b.exe' });
  });

  test('of Volatility 3 are separated by tabs', () => {
    const text =
      'Volatility 3 Framework 2.5.0\n\nPid\tProcess\tBase\tInLoad\tInInit\tInMem\tMappedPath\n\n' +
      '8\ta.exe\t0x77b30000\tFalse\tFalse\tFalse\t\\Windows\\System32\\ntdll.dll\n8\ta.exe\t0x10000\tTrue\tTrue\tTrue\tN/A\n';
    expect(parse(text).map(({ start, path }) => [start, path])).toEqual([
      [0x10000, ''],
      [0x77b30000, '\\Windows\\System32\\ntdll.dll'],
    ]);
  });

  test('end regions where their part of the address space ends', () => {
    const text = `Pid Process Base InLoad InInit InMem MappedPath
1 a.exe 0xfffff80000010000 True True True \\k.sys
1 a.exe 0x0000000000400000 True True True \\a.exe
1 a.exe 0x00007ffa00000000 True True True \\b.dll
`;
    expect(parse(text).map(({ start, end }) => [start, end])).toEqual([
      [-0x7ff_ffff_0000, 0],
      [0x400000, 2 ** 32],
      [0x7ffa_0000_0000, 2 ** 47],
    ]);
  });

  test('with two files at one base are refused', () => {
    const twice = volatility2.replace('0x0000000000fd0000', '0x0000000073960000');
    expect(() => parse(twice)).toThrow('is mapped at 0x0000000073960000, too');
  });
});

describe('several processes', () => {
  const show = (text: string) =>
    parseMemoryMaps(text, 'mapping.txt').map(({ process, regions }) => [
      process,
      ...regions.map(({ start, end, path }) => [start, end, path]),
    ]);

  test('of ldrmodules are kept apart, each with its own ends', () => {
    const text = `Pid      Process              Base       InLoad InInit InMem MappedPath
-------- -------------------- ---------- ------ ------ ----- ----------
     608 csrss.exe            0x00400000 True   False  True  \\a.exe
     700 my program.exe       0x00400000 True   False  True  \\b.exe
     608 csrss.exe            0x7c900000 True   True   True  \\ntdll.dll
     700 my program.exe       0x7c900000 True   True   True  \\ntdll.dll
     700 my program.exe       0x10000000 True   True   True
`;
    expect(show(text)).toEqual([
      [
        { pid: 608, name: 'csrss.exe' },
        [0x400000, 0x7c900000, '\\a.exe'],
        [0x7c900000, 2 ** 32, '\\ntdll.dll'],
      ],
      [
        { pid: 700, name: 'my program.exe' },
        [0x400000, 0x10000000, '\\b.exe'],
        [0x10000000, 0x7c900000, ''],
        [0x7c900000, 2 ** 32, '\\ntdll.dll'],
      ],
    ]);
  });

  test('of Volatility 3, 64-bit, too', () => {
    const text =
      'Pid\tProcess\tBase\tInLoad\tInInit\tInMem\tMappedPath\n' +
      '4\tSystem\t0x7ffa5d2f0000\tFalse\tFalse\tFalse\t\\Windows\\System32\\ntdll.dll\n' +
      '912\tlsass.exe\t0x7ff6a1230000\tTrue\tFalse\tTrue\t\\Windows\\System32\\lsass.exe\n';
    expect(show(text).map(([process]) => process)).toEqual([
      { pid: 4, name: 'System' },
      { pid: 912, name: 'lsass.exe' },
    ]);
    expect(() => parse(text)).toThrow('mapping.txt: holds the maps of 2 processes');
  });

  test('of /proc stand under the headings of tail', () => {
    const text = `==> /proc/17/maps <==
1000-2000 r--p 00000000 00:00 0 /usr/bin/a
2000-3000 r-xp 00001000 00:00 0 /usr/bin/a

==> /proc/18/maps <==
1000-3000 r-xp 00000000 00:00 0 /usr/bin/b
`;
    expect(show(text)).toEqual([
      [{ pid: 17, name: 'a' }, [0x1000, 0x2000, '/usr/bin/a'], [0x2000, 0x3000, '/usr/bin/a']],
      [{ pid: 18, name: 'b' }, [0x1000, 0x3000, '/usr/bin/b']],
    ]);
  });
});

test('any text is read or refused with its place', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constant('1000-2000 r-xp 0 00:00 0 /a')), { maxLength: 8 }),
      (lines) => {
        try {
          expect(parse(lines.join('\n')).length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
          expect((error as UserError).message).toContain('mapping.txt');
        }
      },
    ),
  );
});

test('compressed maps are read, damaged ones named', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
  const whole = gzipSync('1000-2000 r-xp 0 00:00 0 /a\n');
  writeFileSync(join(folder, 'whole.gz'), whole);
  writeFileSync(join(folder, 'cut.gz'), whole.subarray(0, 20));
  expect((await readMemoryMap(join(folder, 'whole.gz'))).regions.length).toBe(1);
  await expect(readMemoryMap(join(folder, 'cut.gz'))).rejects.toThrow(
    'cut.gz: the gzip data is cut off or damaged',
  );
});
