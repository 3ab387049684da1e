import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../base/errors.ts';
import { parseMemoryMap, parseMemoryMaps, readMemoryMap } from './memory-map.ts';

const parse = (text: string) => [...parseMemoryMap(text, 'mapping.txt').regions];

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
    expect(() => parse(twice)).toThrow('is mapped at 0x73960000, too (line 3)');
  });
});

/** One table in each way that Volatility 3 prints it (`volatility3/cli/text_renderer.py`). */
function rendered(
  columns: readonly string[],
  rows: readonly (readonly (string | number | boolean | null)[])[],
): [string, string][] {
  const shown = rows.map((row) =>
    row.map((cell, i) =>
      cell === null
        ? 'N/A'
        : typeof cell === 'number' && columns[i] !== 'PID' && columns[i] !== 'Pid'
          ? `0x${cell.toString(16)}`
          : typeof cell === 'boolean'
            ? `${cell ? 'True' : 'False'}`
            : String(cell),
    ),
  );
  const banner = 'Volatility 3 Framework 2.11.0\n\n';
  const quick = [columns.join('\t'), '', ...shown.map((row) => row.join('\t'))].join('\n');
  const objects = rows.map((row) =>
    Object.fromEntries([...columns.map((column, i) => [column, row[i]]), ['__children', []]]),
  );
  const quoted = (cell: string): string =>
    /[",]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  const csv = (escaped: (cell: string) => string): string =>
    [
      ['TreeDepth', ...columns].join(','),
      ...shown.map((row) => ['0', ...row.map((cell) => quoted(escaped(cell)))].join(',')),
    ].join('\n');
  const widths = columns.map((column, i) =>
    Math.max(column.length, ...shown.map((row) => (row[i] ?? '').length)),
  );
  const pretty = [columns, ...shown].map((row, i) =>
    [i === 0 ? ' ' : '*', ...row.map((cell, c) => cell.padStart(widths[c] ?? 0))].join(' | '),
  );
  return [
    ['quick', banner + quick],
    ['json', JSON.stringify(objects, undefined, 2)],
    ['json in one line', JSON.stringify(objects)],
    ['jsonl', objects.map((object) => JSON.stringify(object)).join('\n')],
    ['csv of older Pythons', banner + csv((cell) => cell)],
    ['csv of newer Pythons', banner + csv((cell) => cell.replaceAll('\\', '\\\\'))],
    ['pretty', `${banner}${pretty.join('\n')}\n`],
  ];
}

describe.each(
  rendered(
    ['Pid', 'Process', 'Base', 'InLoad', 'InInit', 'InMem', 'MappedPath'],
    [
      [8, 'a.exe', 0x77b30000, false, false, false, '\\Windows\\System32\\ntdll.dll'],
      [8, 'a.exe', 0x400000, true, false, true, '\\Program Files\\A, "B"\\a.exe'],
      [8, 'a.exe', 0x7ffa00000000, true, false, true, null],
    ],
  ),
)('ldrmodules of Volatility 3 as %s', (_, text) => {
  test('gives bases and paths', () => {
    expect(parse(text).map(({ start, end, path }) => [start, end, path])).toEqual([
      [0x400000, 0x77b30000, '\\Program Files\\A, "B"\\a.exe'],
      [0x77b30000, 2 ** 32, '\\Windows\\System32\\ntdll.dll'],
      [0x7ffa00000000, 2 ** 47, ''],
    ]);
  });
});

describe.each(
  rendered(
    [
      'PID',
      'Process',
      'Offset',
      'Start VPN',
      'End VPN',
      'Tag',
      'Protection',
      'CommitCharge',
      'PrivateMemory',
      'Parent',
      'File',
      'File output',
    ],
    [
      [
        8,
        'a b.exe',
        0xdeadbeef,
        0x400000,
        0x41ffff,
        'Vad ',
        'PAGE_EXECUTE_WRITECOPY',
        2,
        0,
        0,
        '\\a b.exe',
        'Disabled',
      ],
      [
        8,
        'a b.exe',
        0xdeadbeff,
        0x20000,
        0x2ffff,
        'VadS',
        'PAGE_READWRITE',
        2,
        1,
        0,
        null,
        'Disabled',
      ],
    ],
  ),
)('windows.vadinfo as %s', (_, text) => {
  test('gives ranges, whether they run, and paths', () => {
    const [map] = parseMemoryMaps(text, 'mapping.txt');
    expect(map?.process).toEqual({ pid: 8, name: 'a b.exe' });
    expect([...(map?.regions ?? [])]).toEqual([
      { start: 0x20000, end: 0x30000, path: '', fileOffset: undefined, isExecutable: false },
      {
        ...{ start: 0x400000, end: 0x420000, path: '\\a b.exe' },
        ...{ fileOffset: undefined, isExecutable: true },
      },
    ]);
  });
});

describe.each(
  rendered(
    [
      'PID',
      'Process',
      'Start',
      'End',
      'Flags',
      'PgOff',
      'Major',
      'Minor',
      'Inode',
      'File Path',
      'File output',
    ],
    [
      [7, 'ls', 0x5500001000, 0x5500002000, 'r-x', 0x1000, 8, 1, 77, '/usr/bin/ls', 'Disabled'],
      [7, 'ls', 0x7ff0000000, 0x7ff0001000, 'rw-', 0, 0, 0, 0, 'Anonymous Mapping', 'Disabled'],
    ],
  ),
)('linux.proc.Maps as %s', (_, text) => {
  test('gives what /proc/PID/maps does', () => {
    expect(parse(text)).toEqual([
      {
        ...{ start: 0x5500001000, end: 0x5500002000, path: '/usr/bin/ls' },
        ...{ fileOffset: 0x1000, isExecutable: true },
      },
      { start: 0x7ff0000000, end: 0x7ff0001000, path: '', fileOffset: 0, isExecutable: false },
    ]);
  });
});

test('ldrmodules -v of Volatility 2 says more below each row', () => {
  const text = `Pid      Process              Base       InLoad InInit InMem MappedPath
-------- -------------------- ---------- ------ ------ ----- ----------
     608 a.exe                0x00400000 True   False  True  \\a.exe
  Load Path: C:\\a.exe : a.exe
  Mem Path:  C:\\a.exe : a.exe
     608 a.exe                0x7c900000 True   True   True  \\ntdll.dll
  Load Path: C:\\ntdll.dll : ntdll.dll
  Init Path: C:\\ntdll.dll : ntdll.dll
`;
  expect(parse(text).map(({ start, path }) => [start, path])).toEqual([
    [0x400000, '\\a.exe'],
    [0x7c900000, '\\ntdll.dll'],
  ]);
});

test('smaps are maps with more below each row', () => {
  const text = `1000-3000 r-xp 00001000 08:02 5 /a b
Size:                  8 kB
THPeligible:           0
VmFlags: rd ex mr mw me
3000-4000 rw-p 00000000 00:00 0
Rss:                   4 kB
`;
  expect(parse(text).map(({ start, path }) => [start, path])).toEqual([
    [0x1000, '/a b'],
    [0x3000, ''],
  ]);
});

test('UTF-16 is read, with a byte order mark or without; UTF-8 with one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
  const text = '1000-2000 r-xp 0 00:00 0 /a\n';
  const little = Buffer.from(text, 'utf16le');
  const bigEndian = Buffer.from(text, 'utf16le').swap16();
  for (const bytes of [
    Buffer.concat([Buffer.of(0xff, 0xfe), little]),
    Buffer.concat([Buffer.of(0xfe, 0xff), bigEndian]),
    little,
    bigEndian,
    Buffer.from(`\ufeff${text}`),
  ]) {
    writeFileSync(join(folder, 'm.txt'), bytes);
    expect([...(await readMemoryMap(join(folder, 'm.txt'))).regions]).toMatchObject([
      { start: 0x1000, path: '/a' },
    ]);
  }
});

test.each([
  ['[\n{"Pid": 1, "Base": 4096, "MappedPath": "a"},\n{"Pid": 1, "Base": 8192}\n]', 3],
  ['[\n{"Pid": 1, "Base": 4096, "MappedPath": "a"},\n{"Pid": 1,', 3],
  ['{"Pid": 1, "Base": 4096, "MappedPath": "a"}\n\nrubbish', 3],
])('rows of JSON are refused with their line: %j', (text, line) => {
  expect(() => parse(text)).toThrow(`line ${line}: no row of ldrmodules`);
});

test('addresses of kernel pages are exact in JSON, too', () => {
  const text = '[{"Pid": 4, "Base": 18446735291440390144, "MappedPath": "\\\\a.sys"}]';
  expect(parse(text)[0].start).toBe(Number(BigInt.asIntN(64, 18446735291440390144n)));
});

test('what is no map is refused with what makes one', () => {
  expect(() => parse('Pid,Name\n1,a')).toThrow(/ldrmodules, windows.vadinfo and linux.proc.Maps/);
});

describe('several processes', () => {
  const show = (text: string) =>
    parseMemoryMaps(text, 'mapping.txt').map(({ process, regions }) => [
      process,
      ...Array.from(regions, ({ start, end, path }) => [start, end, path]),
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
      fc.array(
        fc.oneof(
          fc.string(),
          fc.constant('1000-2000 r-xp 0 00:00 0 /a'),
          fc.constant('Pid\tProcess\tBase\tInLoad\tInInit\tInMem\tMappedPath'),
          fc.constant('TreeDepth,Pid,Process,Base,InLoad,InInit,InMem,MappedPath'),
          fc.constant('[{"Pid": 1, "Base": 4096, "MappedPath": null}]'),
          fc.json(),
          fc.string().map((text) => `1,${text},"0x10`),
        ),
        { maxLength: 8 },
      ),
      (lines) => {
        try {
          expect(parse(lines.join('\n')).length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
          expect((error as UserError).message).toContain('mapping.txt');
        }
      },
    ),
    { seed: 1 },
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
