import { expect, it } from 'vitest';
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
