import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { UserError } from '../../base/errors.ts';
import { lineFormats } from './line-formats.ts';
import { type CallLogOptions, readCallLog } from './read-calls.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-lines-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function read(content: string | Uint8Array, options: CallLogOptions = {}) {
  const path = join(folder, 'log');
  writeFileSync(path, content);
  const { format, names, threads, notes } = await readCallLog(path, options);
  const show = (thread: Int32Array): string =>
    [...thread].map((call) => (call < 0 ? '?' : names[call])).join(' ');
  return { format, threads: threads.map(show), notes };
}

/** A log in each format, and what its threads called. */
const logs: readonly [format: string, lines: readonly string[], threads: readonly string[]][] = [
  [
    'lid-ds',
    [
      '1631209047761312895 33 7 apache2 7 open > ',
      '1631209047761313395 33 7 apache2 7 open < fd=3(<f>/etc/passwd) name=/etc/passwd',
      '1631209047761313895 33 7 apache worker 8 read > fd=3(<f>/a b) size=1',
      '1631209047761314395 33 7 apache worker 8 read < res=0 data= > open <',
      '1631209047761314895 33 7 apache2 7 close > fd=3',
    ],
    ['open close', 'read'],
  ],
  [
    // As LID-DS 2019 asks sysdig for it.
    'sysdig',
    [
      '71 14:05:21.123456789 2 33 nginx worker 4711 > open ',
      '72 14:05:21.123456989 2 33 nginx worker 4711 < open fd=3(<f>/etc/passwd) name=/etc/passwd',
      '73 14:05:21.123457789 0 33 nginx worker 4712 > epoll_wait maxevents=512',
      '74 14:05:21.123458789 0 33 nginx worker 4712 > switch next=0',
      '75 14:05:21.123459789 2 33 nginx worker 4711 > close fd=3(<f>/etc/passwd)',
    ],
    ['open close', 'epoll_wait'],
  ],
  [
    'sysdig',
    [
      '34378 12:02:36.269753803 2 echo (7896) > close fd=3(<f>/usr/lib/locale/locale-archive)',
      '34379 12:02:36.269754164 2 echo (7896) < close res=0',
      '34380 12:02:36.269781699 2 a (b) (7896.7897) > fstat fd=1(<f>/dev/pts/3)',
    ],
    ['close', 'fstat'],
  ],
  [
    'perf-trace',
    [
      '         ? (         ): cat/2110  ... [continued]: execve()) = 0',
      '     0.032 ( 0.003 ms): cat/2110 brk() = 0x5581e6a4e000',
      '     0.048 (         ): cat/2111 read(fd: 3, buf: 0x7ffd, count: 832) ...',
      '     0.052 ( 0.004 ms): cat/2110 close(fd: 3) = 0',
    ].slice(1),
    ['brk close', 'read'],
  ],
  [
    'auditd',
    [
      'type=SYSCALL msg=audit(1364481363.243:24287): arch=c000003e syscall=2 success=no exit=-13 a0=7fff ppid=2686 pid=3538 auid=1000 comm="cat" exe="/bin/cat" key="sshd"',
      'type=CWD msg=audit(1364481363.243:24287):  cwd="/home/shadowman"',
      'type=PATH msg=audit(1364481363.243:24287): item=0 name="/etc/ssh/sshd_config"',
      'type=SYSCALL msg=audit(1364481363.244:24288): arch=40000003 syscall=2 success=yes exit=0 ppid=1 pid=3538 comm="cat" exe="/bin/cat"',
      'type=EOE msg=audit(1364481363.244:24288): ',
      'node=a.example type=SYSCALL msg=audit(03/28/2013 14:36:03.245:24289) : arch=x86_64 syscall=openat success=yes ppid=1 pid=3539 comm=cat exe=/bin/cat',
    ],
    ['2 40000003:2', 'openat'],
  ],
  [
    'drakvuf',
    [
      '{"Plugin":"procmon","TimeStamp":"1","PID":1,"RunningProcess":"a"}',
      '{"Plugin":"syscall","TimeStamp":"1716999134.581449","PID":3888,"PPID":2852,"TID":368,"UserName":"SessionID","UserId":2,"ProcessName":"\\\\Device\\\\HarddiskVolume2\\\\Windows\\\\explorer.exe","Method":"NtClose","EventUID":"0x1f","Module":"nt","vCPU":0,"CR3":"0x119b1002","Syscall":15,"NArgs":1,"Handle":"0x4"}',
      '{"Plugin":"sysret","PID":3888,"TID":368,"Method":"NtClose"}',
      '{"Plugin":"apimon","TimeStamp":"1741880635.600971","PID":3888,"TID":368,"ProcessName":"explorer.exe","Method":"HttpOpenRequestA","Event":"api_called","Arguments":["Arg0=0xcc0008"]}',
      '{"Plugin":"apimon","TimeStamp":"1","PID":3888,"TID":368,"Event":"dll_loaded","DllName":"a.dll"}',
    ],
    ['NtClose HttpOpenRequestA'],
  ],
  [
    'procmon',
    [
      '"Time of Day","Process Name","PID","Operation","Path","Result","Detail","TID"',
      '"1:00:00.1 AM","a.exe","12","CreateFile","C:\\a, ""b"".txt","SUCCESS","Desired\nAccess: Read","77"',
      '"1:00:00.2 AM","a.exe","12","RegOpenKey","HKLM\\x","SUCCESS","","78"',
      '"1:00:00.3 AM","a.exe","12","CloseFile","C:\\a","SUCCESS","","77"',
    ],
    ['CreateFile CloseFile', 'RegOpenKey'],
  ],
];

describe.each(logs)('%s', (format, lines, threads) => {
  test('is told by every line, and gives the calls of each thread', async () => {
    for (const text of [lines.join('\n'), `${lines.join('\r\n')}\r\n`]) {
      expect(await read(text)).toEqual({ format, threads, notes: [] });
    }
  });

  test('with something else among its first lines is refused with the line', async () => {
    if (format === 'procmon') return;
    const mixed = [...lines, '6 6 63 6 42'].join('\n');
    await expect(read(mixed)).rejects.toMatchObject({
      code: 'no-call-log',
      message: expect.stringContaining(`line ${lines.length + 1} is none: "6 6 63 6 42"`),
    });
  });

  test('that was asked for leaves other lines out, and no window runs across them', async () => {
    const [first = '', ...rest] = lines;
    const mixed = [first, ...rest, 'something else', ...rest].join('\n');
    const log = await read(mixed, { format: format as CallLogOptions['format'] & string });
    expect(log.notes).toEqual([
      expect.stringMatching(/^left out: lines that are not those of .* \(1, line \d+\)$/),
    ]);
    expect(log.threads.join(' ')).toContain('?');
  });
});

test('the process that is asked for is taken alone', async () => {
  const text = `"Process Name","PID","Operation"\n"a.exe","1","X"\n"b.exe","2","Y"\n"a.exe","1","Z"\n`;
  expect((await read(text, { process: 'a.exe' })).threads).toEqual(['X Z']);
  expect((await read(text, { process: '2' })).threads).toEqual(['Y']);
});

test('numbers are a log only where every line is numbers', async () => {
  expect((await read('6 6 63 6\n42 -1\n')).format).toBe('integers');
  await expect(read('6 6 63 6\n42 cats\n')).rejects.toThrow(
    'begins like a list of numbers, but line 2 is none: "42 cats"',
  );
});

test('any text is read or refused by a reason, whatever it is taken for', async () => {
  const piece = fc.oneof(
    fc.constantFrom(...logs.flatMap(([, lines]) => lines)),
    fc.string({ maxLength: 60 }),
    fc.constantFrom('"', '\\', '{"Plugin":', '(', ' > ', ','),
  );
  const text = fc
    .array(fc.tuple(piece, fc.constantFrom('\n', ' ', '')), { maxLength: 12 })
    .map((parts) => parts.flat().join(''));
  const format = fc.constantFrom(undefined, ...lineFormats.map(({ name }) => name));
  await fc.assert(
    fc.asyncProperty(text, format, async (content, asked) => {
      try {
        const { threads } = await read(content, { format: asked });
        expect(threads.length).toBeGreaterThan(0);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        expect(error.category).toBe('input');
      }
    }),
    { seed: 5, numRuns: 500 },
  );
});
