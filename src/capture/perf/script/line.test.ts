import { describe, expect, it, test } from 'vitest';
import { parseScriptLine } from './line.ts';

it.each([
  [
    ' threads  4000/4001  [001]     0.000053:          branches:uh:   call                         4002820b73 =>       4002821770',
    { pid: 4000, tid: 4001, from: 0x4002820b73, to: 0x4002821770, isAsync: false },
  ],
  [
    '  4001            branches:   tr strt                               0 =>       4002820b70',
    { pid: -1, tid: 4001, from: undefined, to: 0x4002820b70, isAsync: false },
  ],
  [
    ' my 12 prog  77 [000]     1.5:          1          branches:u:   tr end  async             7f12 f+0x1 (/lib/a b.so) =>                0 [unknown] ([unknown])',
    { pid: -1, tid: 77, from: 0x7f12, to: undefined, isAsync: true },
  ],
  [
    ' sh  9/9  branches:   int                          7f12 =>  ffffffff81000010',
    { pid: 9, tid: 9, from: 0x7f12, to: undefined, isAsync: false },
  ],
])('reads a branch of perf script: %s', (line, expected) => {
  expect(parseScriptLine(line)).toEqual({ kind: 'branch', ...expected });
});

it('reads what is mapped, who is who, and where perf lost its way', () => {
  expect(
    parseScriptLine(
      ' ls 5/5 0.000001: PERF_RECORD_MMAP2 5/5: [0x7f00(0x1000) @ 0x2000 <0123456789abcdef0123>]: r-xp /lib/a b.so',
    ),
  ).toMatchObject({
    kind: 'mmap',
    pid: 5,
    mapping: { start: 0x7f00, end: 0x8f00, path: '/lib/a b.so' },
  });
  expect(
    parseScriptLine(' ls 5/5: PERF_RECORD_MMAP 5/5: [0x7f00(0x1000) @ 0]: x /bin/ls'),
  ).toMatchObject({ kind: 'mmap', mapping: { fileOffset: 0, path: '/bin/ls' } });
  expect(
    parseScriptLine(' ls 5/5: PERF_RECORD_MMAP2 5/5: [0x7f00(0x1000) @ 0 fe:01 7 0]: rw-p /bin/ls'),
  ).toBeUndefined();
  expect(parseScriptLine(' sh 5/5: PERF_RECORD_COMM exec: a:b c:5/6')).toEqual({
    kind: 'comm',
    pid: 5,
    tid: 6,
    comm: 'a:b c',
    isExec: true,
  });
  expect(parseScriptLine(' sh 5/5: PERF_RECORD_FORK(8:9):(5:6)')).toEqual({
    kind: 'fork',
    pid: 8,
    tid: 9,
    parentPid: 5,
    parentTid: 6,
  });
  expect(
    parseScriptLine(' instruction trace error type 1 time 0.1 cpu 0 pid 4 tid 5 ip 0x1 code 7: x'),
  ).toEqual({ kind: 'error', tid: 5 });
  for (const line of ['', '#', 'ls 5 cycles: 7f00 main', ' branches', 'a branches: =>']) {
    expect(parseScriptLine(line)).toBeUndefined();
  }
});

/** Names that a program may give itself or its threads, as the kernel cuts them. */
const oddNames = [
  'branches',
  'branches:u:',
  'a branches: 1 =>',
  '9/9 [1] 2.0:',
  '1 2 3',
  '77',
  '=> 12',
  'PERF_RECORD_COMM',
  'a:b',
  'instruction trace',
  '[000]',
  '1.5:',
  'call 12 => 13',
].map((name) => name.slice(0, 15));

describe('whatever a thread is called', () => {
  const rest = [
    '   100/101     [003]     1.000005:          1          branches:u:   call          7f10 a+0x1 (/x) =>   7f20 b (/x)',
    '   100/101          branches:   call                      7f10 =>   7f20',
    '   100/101     [003]          branches:uH:   tr end  hw int       7f10 =>   7f20',
  ];

  test.each(oddNames)('%s: its branches are the same', (name) => {
    for (const fields of rest) {
      const isAsync = fields.includes('hw int');
      const expected = { kind: 'branch', pid: 100, tid: 101, from: 0x7f10, to: 0x7f20, isAsync };
      for (const line of [`${name.padStart(16)} ${fields}`, `${name} ${fields}`]) {
        expect(parseScriptLine(line), line).toEqual(expected);
      }
    }
  });

  test.each(oddNames)('%s: so are its records', (name) => {
    const line = `${name.padStart(16)}   100/101     [003]     1.5: `;
    expect(parseScriptLine(`${line}PERF_RECORD_COMM exec: ${name}:100/101`)).toEqual({
      kind: 'comm',
      pid: 100,
      tid: 101,
      comm: name,
      isExec: true,
    });
    const path = `/opt/${name} PERF_RECORD_FORK(8:9):(5:6)`;
    expect(
      parseScriptLine(
        `${line}PERF_RECORD_MMAP2 100/100: [0x1000(0x1000) @ 0 08:01 1 0]: r-xp ${path}`,
      ),
    ).toMatchObject({ kind: 'mmap', mapping: { path } });
    // What else perf prints of it is nothing to us.
    expect(
      parseScriptLine(`${line}        1          cycles:u:   7f10 a+0x1 (/x)`),
    ).toBeUndefined();
  });

  test('a number as a name is not the thread’s, where columns tell', () => {
    const fields = '     78          branches:   call                      7f10 =>   7f20';
    expect(parseScriptLine(`${'12'.padStart(16)} ${fields}`)).toMatchObject({ tid: 78 });
  });

  test('hostile lines end, too, as they would not where time grew with the square of their length', () => {
    for (const piece of ['1 ', '9/9 ', 'branches: ', '[0] ', 'a => ', '=> 1 ']) {
      const line = piece.repeat(200_000);
      parseScriptLine(line);
      parseScriptLine(` 1/1 branches: 12 ${line}`);
      expect(parseScriptLine(` 1/1 branches: 12 => 13 ${line}`)).toMatchObject({ kind: 'branch' });
    }
  });
});
