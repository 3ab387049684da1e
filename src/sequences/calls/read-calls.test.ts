import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { UserError } from '../../base/errors.ts';
import { lostCalls } from './log.ts';
import { type CallLogOptions, readCallLog } from './read-calls.ts';
import { recognize } from './recognize.ts';
import { logLimits } from './recorder.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-read-calls-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const fixture = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../../../test/fixtures/reports', name), 'utf8');
const cuckoo = fixture('cuckoo-2.json');
const cape = fixture('cape.json');

/** Calls by name, `?` where some were lost, one text a thread. */
async function read(content: string | Uint8Array, options?: CallLogOptions) {
  const path = join(folder, 'log');
  writeFileSync(path, content);
  const { format, names, threads, notes } = await readCallLog(path, options);
  return {
    format,
    notes,
    threads: threads.map((calls) =>
      [...calls].map((call) => (call === lostCalls ? '?' : names[call])).join(' '),
    ),
  };
}

/** A report with one process that made these calls. */
function reportOf(calls: unknown, process: Record<string, unknown> = {}): string {
  return JSON.stringify({
    behavior: { processes: [{ pid: 1, process_name: 'a.exe', ...process, calls }] },
  });
}

describe('a Cuckoo 2 report', () => {
  test('gives the calls of the largest process of the tree that the target started', async () => {
    // explorer.exe and lsass.exe made more calls than child.exe, but setup.exe did not start them.
    const { format, threads, notes } = await read(cuckoo);
    expect(format).toBe('report');
    expect(threads).toEqual([Array(4).fill('RegOpenKeyExW RegQueryValueExW').join(' ')]);
    expect(notes).toEqual([]);
  });

  test('gives one process by number or name, thread after thread', async () => {
    const setup = [
      'GetSystemTimeAsFileTime NtCreateFile CreateProcessInternalW NtClose',
      'NtDelayExecution __exception__',
    ];
    for (const process of ['1204', 'setup.exe', 'SETUP', 'Setup.exe']) {
      expect((await read(cuckoo, { process })).threads, process).toEqual(setup);
    }
    await expect(read(cuckoo, { process: 'nope' })).rejects.toThrow(
      'has no process "nope", but lsass.exe (476), setup.exe (1204), child.exe (1300), explorer.exe (1100)',
    );
  });

  test('is the same compressed, and written without white space', async () => {
    const expected = await read(cuckoo);
    expect(await read(gzipSync(cuckoo))).toEqual(expected);
    expect(await read(JSON.stringify(JSON.parse(cuckoo)))).toEqual(expected);
  });
});

describe('a CAPE report', () => {
  test('expands what was repeated, and starts at what ran first when the target is no program', async () => {
    const { threads, notes } = await read(cape);
    expect(threads).toEqual([
      `LdrLoadDll ${Array(8).fill('LdrGetProcedureAddress').join(' ')} connect`,
    ]);
    expect(notes).toEqual([]);
  });

  test('passes over the anomalies between the calls', async () => {
    expect((await read(cape, { process: 'winword.exe' })).threads).toEqual([
      'NtOpenFile NtReadFile NtReadFile NtReadFile NtReadFile CreateProcessInternalW',
      'NtDelayExecution NtDelayExecution',
    ]);
  });
});

describe('a report that is not as it should be', () => {
  test('cut off anywhere gives the calls up to there, says so, and ends in a gap', async () => {
    const whole = (await read(cape, { process: '4100' })).threads.join(' ').split(' ');
    let most = 0;
    for (let length = 1; length < cape.length; length += 97) {
      try {
        const { threads, notes } = await read(cape.slice(0, length), { process: '4100' });
        expect(notes).toEqual([`the report is cut off at byte ${length}`]);
        const calls = threads.join(' ').split(' ');
        most = Math.max(most, calls.length);
        expect(whole).toEqual(expect.arrayContaining(calls.filter((call) => call !== '?')));
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
        expect((error as UserError).message).toContain(`cut off at byte ${length}`);
      }
    }
    expect(most).toBeGreaterThanOrEqual(whole.length);
    const middle = cape.indexOf('"CreateProcessInternalW"');
    expect((await read(cape.slice(0, middle), { process: '4100' })).threads).toEqual([
      'NtOpenFile NtReadFile NtReadFile NtReadFile NtReadFile ?',
      'NtDelayExecution NtDelayExecution ?',
    ]);
  });

  test('cut off when compressed counts up to there', async () => {
    const calls = Array.from({ length: 50_000 }, (_, i) => ({ api: `A${(i * i) % 97}`, tid: 1 }));
    const packed = gzipSync(reportOf(calls));
    const { threads, notes } = await read(packed.subarray(0, packed.length >> 1));
    expect(threads[0]).toMatch(/^A0 A1 A4 .* \?$/);
    expect(threads[0].split(' ').length).toBeGreaterThan(10_000);
    expect(notes).toEqual([
      'the gzip data is cut off or damaged: what came before counts',
      expect.stringContaining('the report is cut off at byte'),
    ]);
  });

  test.each([
    ['{}', 'has no behavior'],
    ['{"behavior": null}', 'has no behavior'],
    ['{"behavior": []}', 'has no behavior'],
    ['{"behavior": {}}', 'names no process'],
    ['{"behavior": {"processes": {"1": {}}}}', 'names no process'],
    [
      '{"behavior": {"processes": [1, null]}}',
      'processes that are no objects (2, the first process 1',
    ],
    ['{"behavior": {"processes": [{"pid": 1, "calls": null}]}}', 'holds no call'],
    ['{"behavior": {"processes": [{"calls": "NtClose"}]}}', 'holds no call'],
    ['{"processes": [{"calls": [{"api": "NtClose"}]}]}', 'has no behavior'],
    ['{"behavior": {"processes": [}', 'is no JSON from byte 28 on'],
    ['', 'is empty'],
    ['\u0000\u0001\u0002', 'is no sandbox report'],
    ['hello world', 'is no sandbox report'],
    ['% time  seconds  calls syscall\n------ ------\n 0.00 0.000 7 read', 'is no sandbox report'],
  ])('%s', async (content, problem) => {
    await expect(read(content)).rejects.toThrow(problem);
  });

  test('odd calls are left out, each with a gap, and counted', async () => {
    const call = { api: 'A', tid: 1 };
    const odd = [5, null, 'NtClose', [call], { tid: 1 }, { api: 7 }, { api: { api: 'B' } }];
    const { threads, notes } = await read(reportOf([call, ...odd, call, { api: 'x'.repeat(300) }]));
    expect(threads).toEqual(['A ? A ?']);
    expect(notes).toEqual([
      'left out: calls that are no objects (4, the first call 2 of process 1)',
      'left out: calls without the name of an API (3, the first call 6 of process 1)',
      'left out: calls with names longer than 256 characters (1, call 10 of process 1)',
    ]);
  });

  test('odd facts about processes and run lengths do no harm', async () => {
    const call = (repeated: unknown) => ({ api: 'A', repeated });
    const odd = { pid: {}, ppid: 'x', process_name: ['a'], track: 'no' };
    const { threads } = await read(reportOf([null, -3, '9', 1.9, [1], NaN].map(call), odd));
    expect(threads[0]).toBe('A A A A A A A');
  });

  test('a hundred thousand brackets, and invalid UTF-8', async () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    const text = reportOf([{ api: 'A', arguments: '@' }, { api: 'B\u00ff' }]);
    const bytes = Buffer.from(text.replace('"@"', deep), 'latin1');
    expect((await read(bytes)).threads).toEqual(['A B\ufffd']);
    await expect(read(`{"behavior": ${'['.repeat(100_000)}`)).rejects.toThrow('cut off');
  });

  test('a few bytes that claim many calls do not fill the memory', async () => {
    const path = join(folder, 'log');
    writeFileSync(path, reportOf([{ api: 'A', repeated: 1e15 }, { api: 'B' }]));
    const { threads, notes } = await readCallLog(path);
    expect(threads[0].length).toBe(logLimits.calls + 1);
    expect(notes).toEqual([
      expect.stringContaining(`calls beyond the first ${logLimits.calls} (2, the first call 1`),
    ]);
  });

  test('processes that started each other in a circle', async () => {
    const process = (pid: number, ppid: number, api: string) => ({ pid, ppid, calls: [{ api }] });
    const processes = [process(1, 2, 'A'), process(2, 1, 'B'), process(2, 2, 'C')];
    expect((await read(JSON.stringify({ behavior: { processes } }))).threads).toEqual(['A']);
  });
});

describe('the format', () => {
  test.each([
    ['  {"a": 1}', 'report'],
    ['\ufeff{', 'report'],
    ['execve("/bin/ls", ["ls"]) = 0', 'strace'],
    ['strace: Process 7 attached\n[pid 7] read(0) = 1', 'strace'],
    ['12 6 6 63', 'integers'],
    ['# 3 calls\n1 2 3', 'integers'],
    ['text about 1 thing', undefined],
    ['', undefined],
  ])('of %j is %s', (text, format) => {
    expect(recognize(Buffer.from(text), true).format).toBe(format);
  });

  test('can be forced', async () => {
    expect((await read('x 1 y 2 z', { format: 'integers' })).threads).toEqual(['1 ? 2 ?']);
    await expect(read('1 2 3', { format: 'strace' })).rejects.toThrow('holds no call');
    await expect(read('1 2 3', { format: 'report' })).rejects.toThrow('is no JSON');
  });

  test('of strace takes all processes, or one with its threads', async () => {
    const log = `1 execve("/usr/bin/sh", [], 0) = 0
1 clone(flags=SIGCHLD) = 2
2 clone3({flags=CLONE_THREAD} => {}, 88) = 3
3 clone3({flags=CLONE_THREAD} => {}, 88) = 4
4 futex(0) = 0
3 futex(0) = 0
2 execve("/usr/bin/cat.bin", [], 0) = 0
`;
    expect((await read(log)).threads.length).toBe(4);
    const cat = ['clone3 execve', 'clone3 futex', 'futex'];
    for (const process of ['2', 'cat.bin', 'cat']) {
      expect((await read(log, { process })).threads, process).toEqual(cat);
    }
    await expect(read(log, { process: 'ls' })).rejects.toThrow('but sh (1), cat.bin (2)');
  });
});

test('any bytes give a log or a named reason, in any format', async () => {
  const seeds = [cuckoo, cape, '1 execve("/a", []) = 0\n1 read(3) = 1\n', '6 6 63 42 1'].map((s) =>
    Buffer.from(s),
  );
  const mutated = fc
    .tuple(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 20 }),
      fc.nat(),
      fc.boolean(),
    )
    .map(([seed, changes, cut, isPacked]) => {
      const bytes = Buffer.from(seed);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      const part = bytes.subarray(0, cut % 3 === 0 ? cut % bytes.length : bytes.length);
      return isPacked ? gzipSync(part) : part;
    });
  const bytes = fc.oneof(
    mutated,
    fc.uint8Array({ maxLength: 200 }).map((a) => Buffer.from(a)),
  );
  const format = fc.constantFrom(
    undefined,
    'report' as const,
    'strace' as const,
    'integers' as const,
  );
  const process = fc.constantFrom(undefined, '1204', 'WINWORD', '1');
  await fc.assert(
    fc.asyncProperty(bytes, format, process, async (content, kind, name) => {
      try {
        const { threads } = await read(content, { format: kind, process: name });
        expect(threads.length).toBeGreaterThan(0);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        expect(error.category).toBe('input');
      }
    }),
    { seed: 11, numRuns: 400 },
  );
});

test('reading stops when it is told to', async () => {
  const stop = new AbortController();
  stop.abort(new Error('enough'));
  await expect(read(cuckoo, { signal: stop.signal })).rejects.toThrow('enough');
});
