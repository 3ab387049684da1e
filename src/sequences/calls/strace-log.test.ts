import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { lostCalls } from './log.ts';
import { parseStraceLine, readStrace } from './strace-log.ts';

async function* piecesOf(text: string | Uint8Array, size = 1e9): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Calls by name, `?` where some were lost, one text a process. */
async function read(text: string | Uint8Array, size?: number) {
  const { names, processes, leftOut } = await readStrace(piecesOf(text, size));
  return {
    processes: processes.map((process) => ({
      id: process.id,
      parent: process.parent,
      name: process.name,
      isThread: process.isThread,
      calls: process
        .finish()
        .map((calls) =>
          [...calls].map((call) => (call === lostCalls ? '?' : names[call])).join(' '),
        )
        .join(),
    })),
    notes: leftOut.notes,
  };
}

describe('lines of strace', () => {
  test('with every kind of number and time stamp', () => {
    for (const front of [
      '',
      '7  ',
      '7<cat> ',
      '[pid     7] ',
      '[pid 7<cat>] ',
      '12:05:22 ',
      '7 12:05:22.032002 [  56] [00007faef0e4e353] ',
      '7     1795521923.769472 ',
      '7          0.000029 ',
      '     0.000029 ',
      '7 1795521924.618444 (+     0.000000) ',
    ]) {
      const parsed = parseStraceLine(`${front}close(3)    = 0 <0.000019>`);
      expect(parsed?.said, front).toMatchObject({ kind: 'call', name: 'close' });
      expect(parsed?.number, front).toBe(front.includes('7') && !front.includes(':22 ') ? '7' : '');
    }
  });

  test.each([
    ['1 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---', 'other'],
    ['1 +++ exited with 0 +++', 'exit'],
    ['1 12:05:22.037042 [ 231] [????????????????] +++ killed by SIGKILL +++', 'exit'],
    [' > /usr/bin/dash(+0x0) [0x4781]', 'other'],
    ['strace: Process 16447 attached', 'other'],
    ['[ Process PID=12 runs in 32 bit mode. ]', 'other'],
    ['', 'other'],
    ['1 <... read resumed>"x", 1) = 1', 'resumed'],
    ['1 <... resumed>) = ?', 'resumed'],
    ['1 syscall_0x1c3(0x1, 0x2) = -1 ENOSYS (Function not implemented)', 'call'],
    ['1 restart_syscall(<... resuming interrupted nanosleep ...>) = 0', 'call'],
    ['1 ???( <unfinished ...>', 'call'],
  ] as const)('%s', (line, kind) => {
    expect(parseStraceLine(line)?.said.kind).toBe(kind);
  });

  test.each([
    '% time     seconds  usecs/call     calls    errors syscall',
    '------ ----------- ----------- --------- --------- ----------------',
    '1 2 3 4',
    'openat',
    '{"behavior": {}}',
    '0.000 ( 0.011 ms): ls/1234 openat(dfd: CWD)',
  ])('%s is none', (line) => {
    expect(parseStraceLine(line)).toBeUndefined();
  });
});

describe('readStrace', () => {
  test('counts a call once where it is entered, by process', async () => {
    const log = `10 execve("/usr/bin/sh", ["sh"], 0x7ff /* 35 vars */) = 0
10 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD <unfinished ...>
11 set_robust_list(0x7ff, 24 <unfinished ...>
10 <... clone resumed>, child_tidptr=0x7ff) = 11
11 <... set_robust_list resumed>)    = 0
11 execve("/bin/nope", ["nope"], 0x7ff) = -1 ENOENT (No such file or directory)
11 execve("/usr/bin/cat", ["cat"], 0x7ff <unfinished ...>
10 wait4(-1,  <unfinished ...>
11 <... execve resumed>)             = 0
11 exit_group(0)                     = ?
11 +++ exited with 0 +++
10 <... wait4 resumed>[{WIFEXITED(s)}], 0, NULL) = 11
10 --- SIGCHLD {si_signo=SIGCHLD} ---
10 clone3({flags=CLONE_VM|CLONE_THREAD, stack_size=0x7fff80} => {parent_tid=[12]}, 88) = 12
12 futex(0x1, FUTEX_WAKE) = 1
`;
    const { processes, notes } = await read(log);
    expect(processes).toEqual([
      {
        id: 10,
        parent: undefined,
        name: 'sh',
        isThread: false,
        calls: 'execve clone wait4 clone3',
      },
      {
        id: 11,
        parent: 10,
        name: 'cat',
        isThread: false,
        calls: 'set_robust_list execve execve exit_group',
      },
      { id: 12, parent: 10, name: 'sh', isThread: true, calls: 'futex' },
    ]);
    expect(notes).toEqual([]);
  });

  test('follows what strace writes on a terminal', async () => {
    const log = `execve("/usr/bin/sh", ["sh"], 0x7ff) = 0
clone(child_stack=NULL, flags=SIGCHLDstrace: Process 21 attached
, child_tidptr=0x7f1354755a10) = 21
[pid    20] close(4 <unfinished ...>
[pid    21] dup2(4, 1) = 1
[pid    20] <... close resumed>) = 0
[pid    21] exit_group(0) = ?
[pid    21] +++ exited with 0 +++
write(1, "x", 1) = 1
`;
    const { processes, notes } = await read(log);
    expect(processes.map(({ id, calls }) => [id, calls])).toEqual([
      [20, 'execve clone close write'],
      [21, 'dup2 exit_group'],
    ]);
    expect(notes).toEqual([]);
  });

  test('leaves out what strace never wrote, and says where', async () => {
    const log = '5 read(0) = 1\nsomething else\n5 write(1) = 1\n<html>\n5 close(0) = 0\n5 wri';
    const { processes, notes } = await read(log);
    expect(processes[0].calls).toBe('read ? write ? close ?');
    expect(notes).toEqual([
      'left out: lines that are none of strace (3, the first in line 2)',
      'left out: ends of lines that were cut off (1, at byte 71)',
    ]);
  });

  test('any bytes are read, however they are cut', async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
      fc
        .constantFrom(
          '1 ',
          '[pid 2] ',
          'read(',
          'clone(',
          ') = 3',
          '\n',
          '+++ exited',
          '<unfinished ...>\n',
          '<... read resumed>',
          'strace: Process 3 attached\n',
        )
        .map((text) => Buffer.from(text)),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 60 }),
        fc.integer({ min: 1, max: 9 }),
        async (list, size) => {
          const bytes = Buffer.concat(list);
          expect(await read(bytes, size)).toEqual(await read(bytes));
        },
      ),
      { seed: 9, numRuns: 300 },
    );
  });
});

/** Whether strace may trace here; containers often forbid it. */
const canTrace = spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0;

describe.skipIf(!canTrace)('the real strace', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wayward-strace-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const log = join(folder, 'log');
  /** Calls as strace itself counts them: one line a call when none is interrupted. */
  const script = 'echo hello | cat > /dev/null; (exit 3); kill -USR1 $$';

  test.each([[[]], [['-t']], [['-ttt', '-r']], [['-T', '-n', '-i']], [['-Y', '-y']], [['-k']]])(
    'with %j it leaves out nothing, and finds the calls that -c counts',
    async (flags) => {
      // -C writes the calls, and behind them a table that counts them.
      spawnSync('strace', ['-f', '-C', ...flags, '-o', log, 'sh', '-c', script]);
      const text = readFileSync(log, 'latin1');
      const table = text.indexOf('% time');
      const counted = new Map<string, number>();
      for (const line of text.slice(table).split('\n').slice(2)) {
        const row = /^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$/.exec(line);
        if (row !== null && row[2] !== 'total') counted.set(row[2], Number(row[1]));
      }
      const { processes, notes } = await read(Buffer.from(text.slice(0, table), 'latin1'));
      const found = new Map<string, number>();
      for (const name of processes.flatMap(({ calls }) => calls.split(' '))) {
        found.set(name, (found.get(name) ?? 0) + 1);
      }
      expect(notes).toEqual([]);
      expect(processes.map(({ name }) => name)).toContain('cat');
      // Calls that never return are not in the table.
      for (const name of ['exit_group', 'rt_sigreturn']) {
        found.delete(name);
        counted.delete(name);
      }
      expect(Object.fromEntries(found)).toEqual(Object.fromEntries(counted));
    },
  );

  test('without -o its own messages and the process numbers of a terminal do no harm', async () => {
    const { stderr } = spawnSync('strace', ['-f', 'sh', '-c', 'true | cat; true | cat']);
    const { processes, notes } = await read(stderr);
    expect(notes).toEqual([]);
    expect(processes.length).toBeGreaterThanOrEqual(3);
    expect(processes.filter(({ name }) => name === 'cat').length).toBe(2);
    expect(processes.every(({ calls }) => calls.endsWith('exit_group'))).toBe(true);
  });

  test('threads are told from processes', async () => {
    const code =
      'import threading\nfor i in range(3):\n t=threading.Thread(target=print);t.start();t.join()';
    try {
      execFileSync('strace', ['-f', '-o', log, '/usr/bin/python3', '-c', code], {
        stdio: 'ignore',
      });
    } catch {
      return;
    }
    const { processes } = await read(readFileSync(log));
    expect(processes.map(({ isThread }) => isThread)).toEqual([false, true, true, true]);
  });
});
