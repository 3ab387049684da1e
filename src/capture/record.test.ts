import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CodeCache } from '../flow/code-cache.ts';
import { ImageStore } from '../image/image-store.ts';
import { openTraces } from '../trace/open-trace.ts';
import { readSample } from '../trace/sample.ts';
import { elfKind } from './qemu/elf-kind.ts';
import { imagesBeside, type RecordOptions, record } from './record.ts';
import { recordInputs } from './record-inputs.ts';

const canRecord = existsSync('/usr/bin/qemu-x86_64') && existsSync('/usr/bin/cc');
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wayward-test-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Records, decodes what was written, and gives both lists of block addresses. */
async function recordAndDecode(
  name: string,
  options: Pick<RecordOptions, 'command' | 'args'> & Partial<RecordOptions>,
): Promise<{
  recorded: number[];
  decoded: number[];
  marks: number;
  signals: number;
  crashed: boolean;
}> {
  const recorded: number[] = [];
  const out = join(folder, 'traces', name);
  const { signals } = await record({
    label: 'benign',
    name,
    out,
    onBlock: (address, thread) => {
      if (thread === 0) recorded.push(address);
    },
    ...options,
  });
  const codeCache = new CodeCache();
  const images = new ImageStore([join(folder, 'bin')], { rawImages: false });
  const [trace] = await openTraces(await readSample(out), {
    images,
    codeCache,
    preprocessed: false,
  });
  const decoded: number[] = [];
  let marks = 0;
  const { source } = trace;
  const { crashed } = await source.run(({ entries, length }) => {
    const { module, offset, modules } = source.blocks;
    for (let i = 0; i < length; i++) {
      const block = entries[i];
      if (block < 0) marks++;
      else decoded.push(offset[block] + (module[block] < 0 ? 0 : modules[module[block]].base));
    }
  });
  codeCache.dispose();
  return { recorded, decoded, marks, signals, crashed };
}

describe.skipIf(!canRecord)('record', () => {
  it.each([true, false])(
    'decodes to the blocks that QEMU ran, return compression %s',
    async (on) => {
      const { recorded, decoded, marks, crashed } = await recordAndDecode(`ls-${on}`, {
        command: '/bin/ls',
        args: ['-l', '/'],
        compressReturns: on,
      });
      expect(recorded.length).toBeGreaterThan(50_000);
      expect(marks).toBe(0);
      expect(crashed).toBe(false);
      expect(decoded).toEqual(recorded);
    },
  );

  it('keeps the blocks before a crash, and follows signal handlers', async () => {
    const source = join(folder, 'signals.c');
    await writeFile(
      source,
      `#include <signal.h>
       #include <sys/time.h>
       static volatile int n;
       static void on_alarm(int s) { n += s; }
       int main(void) {
         signal(SIGALRM, on_alarm);
         struct itimerval t = {{0, 2000}, {0, 2000}};
         setitimer(ITIMER_REAL, &t, 0);
         while (n < 14 * 20) for (volatile int i = 0; i < 1000; i++) ;
         *(volatile int *)0 = 1;
       }`,
    );
    const command = join(folder, 'signals');
    execFileSync('cc', ['-O1', '-o', command, source]);
    const { recorded, decoded, signals, crashed } = await recordAndDecode('signals', {
      command,
      args: [],
    });
    expect(signals).toBeGreaterThanOrEqual(1);
    expect(crashed).toBe(true);
    expect(decoded).toEqual(recorded);
  });

  it('writes one trace a thread, also where threads share a CPU number', async () => {
    const source = join(folder, 'threads.c');
    await writeFile(
      source,
      `#include <pthread.h>
       static void *work(void *p) { for (volatile int i = 0; i < 20000; i++) ; return p; }
       int main(void) {
         pthread_t t[4];
         for (int i = 0; i < 4; i++) {
           pthread_create(t + i, 0, work, 0);
           if (i % 2) pthread_join(t[i - 1], 0), pthread_join(t[i], 0);
         }
       }`,
    );
    const command = join(folder, 'threads');
    execFileSync('cc', ['-O1', '-pthread', '-o', command, source]);
    const out = join(folder, 'traces', 'threads');
    const { blocks } = await record({ label: 'benign', name: 'threads', out, command, args: [] });
    expect(blocks.length).toBe(5);
    for (const count of blocks.slice(1)) {
      expect(count).toBeGreaterThan(20_000);
      expect(count).toBeLessThan(21_000);
    }
    const codeCache = new CodeCache();
    const images = new ImageStore([join(folder, 'bin')], { rawImages: false });
    const traces = await openTraces(await readSample(out), {
      images,
      codeCache,
      preprocessed: false,
    });
    const decoded: number[] = [];
    for (const { source } of traces) {
      const summary = await source.run(() => {});
      expect(summary.gaps).toBe(0);
      decoded.push(summary.blocks);
    }
    codeCache.dispose();
    expect(decoded).toEqual(blocks);
  });

  it('records 32-bit programs', async () => {
    const source = join(folder, 'small.c');
    await writeFile(
      source,
      `static int twice(int x) { return 2 * x; }
       static int odd(int x) { return x | 1; }
       static int (*volatile table[2])(int) = {twice, odd};
       void _start(void) {
         int s = 0;
         for (int i = 0; i < 1000; i++) s += table[i & 1](s);
         __asm__ volatile("int $0x80" : : "a"(252), "b"(s & 0));
       }`,
    );
    const command = join(folder, 'small');
    const flags = ['-m32', '-O1', '-fno-pic', '-nostdlib', '-static', '-fno-stack-protector'];
    execFileSync('cc', [...flags, '-o', command, source]);
    const { recorded, decoded, marks } = await recordAndDecode('small', { command, args: [] });
    expect(recorded.length).toBeGreaterThan(3000);
    expect(marks).toBe(0);
    expect(decoded).toEqual(recorded);
  });

  it('records one sample an input, and says which inputs gave none', async () => {
    const inputDir = join(folder, 'inputs');
    const root = join(folder, 'many');
    await mkdir(inputDir);
    for (const name of ['a', 'b', 'c']) await writeFile(join(inputDir, name), `${name}\n`);
    await mkdir(join(root, 'traces', 'b'), { recursive: true });
    const done: number[] = [];
    const results = await recordInputs(
      { inputDir, root, jobs: 2, command: '/usr/bin/cat', args: ['{}'], label: 'benign' },
      (progress) => done.push(progress.done),
    );
    expect(results.map(({ recorded }) => recorded?.exitCode)).toEqual([0, undefined, 0]);
    expect(results[1].error).toMatch(/exists already/);
    expect(done).toEqual([1, 2, 3]);
    expect((await readSample(join(root, 'traces', 'c'), 'raw')).traces.length).toBe(1);
    expect((await readdir(join(root, 'traces'))).sort()).toEqual(['a', 'b', 'c']);
  });

  it('ends a program that takes too long, and names what cannot be recorded', async () => {
    const out = join(folder, 'traces', 'slow');
    const options = { out, label: 'benign', name: 'slow', args: ['30'] } as const;
    const slow = await record({ ...options, command: '/usr/bin/sleep', timeoutSeconds: 1 });
    expect(slow.end).toBe('timeout');
    expect(slow.blocks[0]).toBeGreaterThan(1000);
    await expect(record({ ...options, command: '/usr/bin/sleep' })).rejects.toThrow(/exists/);
    const other = { ...options, out: join(folder, 'traces', 'none') };
    await expect(record({ ...other, command: '/no/such/program' })).rejects.toThrow(/no such file/);
    await expect(record({ ...other, command: folder })).rejects.toThrow(/it is a folder/);
    await expect(
      record({ ...other, command: '/usr/bin/sleep', qemu: '/no/such/qemu' }),
    ).rejects.toThrow(/package qemu-user/);
    expect(existsSync(other.out)).toBe(false);
  });

  it.each([
    ['4k', 'the trace', false],
    ['64k', 'an image', true],
  ])('leaves nothing half-written on a full disk of %s: %s', async (size, _what, imagesToo) => {
    const disk = join(folder, `disk-${size}`);
    await mkdir(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'none', disk], {
        stdio: 'ignore',
      });
    } catch {
      return; // Only root may mount.
    }
    try {
      const out = join(disk, 'traces', 'sample');
      const binDir = imagesToo ? join(disk, 'bin') : join(folder, 'full-bin');
      const options = {
        command: '/bin/ls',
        args: ['-l', '/'],
        label: 'benign',
        name: 'x',
      } as const;
      await expect(record({ ...options, out, binDir })).rejects.toThrow(/no space|ENOSPC/i);
      expect(await readdir(join(disk, 'traces'))).toEqual([]);
      expect(imagesToo ? await readdir(binDir) : []).toEqual([]);
    } finally {
      execFileSync('umount', [disk]);
    }
  });

  it('records a static program', async () => {
    const source = join(folder, 'static.c');
    await writeFile(source, '#include <stdio.h>\nint main(void) { return puts("x") < 0; }');
    const command = join(folder, 'static');
    execFileSync('cc', ['-O1', '-static', '-o', command, source]);
    for (const backend of ['plugin', 'log'] as const) {
      const { recorded, decoded } = await recordAndDecode(`static-${backend}`, {
        command,
        args: [],
        backend,
      });
      expect(recorded.length).toBeGreaterThan(1000);
      expect(decoded).toEqual(recorded);
    }
  });

  it('leaves out what comes before a symbol or a module', async () => {
    const source = join(folder, 'start.c');
    await writeFile(
      source,
      'int f(int x) { return x * 3; } int main(int c, char **v) { return f(c) - 3; }',
    );
    const command = join(folder, 'start');
    execFileSync('cc', ['-O0', '-no-pie', '-o', command, source]);
    const main = /^([0-9a-f]+) T main$/m.exec(execFileSync('nm', [command], { encoding: 'utf8' }));
    const options = { command, args: [] };
    const { recorded, decoded } = await recordAndDecode('main', { ...options, skipUntil: 'main' });
    expect(recorded[0]).toBe(Number.parseInt(main?.[1] ?? '', 16));
    expect(decoded).toEqual(recorded);
    const whole = await recordAndDecode('whole', options);
    expect(whole.recorded.slice(-recorded.length)).toEqual(recorded);
    const program = await recordAndDecode('module', { ...options, skipUntil: 'start' });
    expect(program.recorded.length).toBeLessThan(whole.recorded.length);
  });

  it('looks for the beginning before anything runs, and gives up at the first run without it', async () => {
    const source = join(folder, 'never.c');
    const command = join(folder, 'never');
    const ran = join(folder, 'never-ran');
    await writeFile(
      source,
      `#include <fcntl.h>
       #include <stdlib.h>
       void sometimes(void) {}
       int main(int c, char **v) {
         creat("${ran}", 0600);
         if (c > 2) sometimes();
         return 0;
       }`,
    );
    execFileSync('cc', ['-O0', '-o', command, source]);
    const inputs = join(folder, 'never-inputs');
    await mkdir(inputs);
    for (const name of ['a', 'b', 'c', 'd']) await writeFile(join(inputs, name), name);
    const root = join(folder, 'never-root');
    const common = { command, args: [], label: 'benign', inputDir: inputs, root, jobs: 1 } as const;
    await expect(recordInputs({ ...common, skipUntil: 'somtimes' })).rejects.toMatchObject({
      code: 'no-such-start',
      message: expect.stringContaining('did you mean sometimes?'),
    });
    const misspelt = {
      command,
      args: [],
      label: 'benign',
      name: 'x',
      out: join(root, 'x'),
    } as const;
    await expect(record({ ...misspelt, skipUntil: 'no_such' })).rejects.toMatchObject({
      code: 'no-such-start',
    });
    expect(existsSync(ran)).toBe(false);
    // It has the function, but does not come to it; libraries' functions count, too.
    const steps: number[] = [];
    const failing = recordInputs({ ...common, skipUntil: 'sometimes' }, ({ done }) =>
      steps.push(done),
    );
    await expect(failing).rejects.toMatchObject({ code: 'never-started' });
    expect(steps).toEqual([]);
    const results = await recordInputs({ ...common, skipUntil: 'exit' });
    expect(results.every(({ recorded }) => recorded !== undefined)).toBe(true);
  });

  it('gives the program the environment that was asked for, and QEMU none of what is for the program', async () => {
    const source = join(folder, 'environment.c');
    const command = join(folder, 'environment');
    await writeFile(
      source,
      `#include <stdio.h>
       extern char **environ;
       int main(int c, char **v) {
         FILE *f = fopen(v[1], "w");
         for (char **e = environ; *e; e++) fprintf(f, "%s\\n", *e);
         return 0;
       }`,
    );
    execFileSync('cc', ['-o', command, source]);
    const seen = async (options: Partial<RecordOptions>): Promise<string[]> => {
      const list = join(folder, 'environment.txt');
      const out = join(folder, 'traces', 'environment');
      await record({ command, args: [list], label: 'benign', name: 'env', out, ...options });
      await rm(out, { recursive: true });
      return readFileSync(list, 'utf8').split('\n').filter(Boolean).sort();
    };
    expect(await seen({})).toEqual(['LC_ALL=C', 'PATH=/usr/local/bin:/usr/bin:/bin']);
    expect(await seen({ env: { LC_ALL: 'C.UTF-8', A: 'b=c,d' } })).toEqual([
      ...['A=b=c,d', 'LC_ALL=C.UTF-8', 'PATH=/usr/local/bin:/usr/bin:/bin'],
    ]);
    expect(await seen({ baseEnv: { B: '' }, env: { LD_BIND_NOW: '1' } })).toEqual([
      ...['B=', 'LD_BIND_NOW=1'],
    ]);
    // The emulator itself would not even start with it.
    const unfit = { LD_PRELOAD: join(folder, 'gone.so'), QEMU_CPU: 'none' };
    expect(await seen({ baseEnv: {}, env: unfit })).toHaveLength(2);
    await expect(seen({ env: { LD_DEBUG: 'libs,files' } })).rejects.toThrow(
      /no value with a comma/,
    );
  });

  it.each([
    ['root/traces/one', 'root/bin'],
    ['sample', 'bin'],
    ['/a/one', '/a/bin'],
  ])('of %s puts images into %s', (sample, images) => {
    expect(imagesBeside(sample)).toBe(resolve(images));
  });

  it('gives a file to the program on its standard input', async () => {
    const source = join(folder, 'reads.c');
    const program = join(folder, 'reads');
    await writeFile(
      source,
      '#include <stdio.h>\nint main(void) { int n = 0; while (getchar() != EOF) n++; return n; }\n',
    );
    execFileSync('cc', ['-o', program, source]);
    const inputs = join(folder, 'stdin-inputs');
    await mkdir(inputs);
    await writeFile(join(inputs, 'three'), 'abc');
    await writeFile(join(inputs, 'five'), 'abcde');
    const root = join(folder, 'stdin-root');
    const common = { command: program, args: [], label: 'benign' } as const;
    const results = await recordInputs({ ...common, inputDir: inputs, root, jobs: 1, stdin: '{}' });
    expect(results.map(({ recorded }) => recorded?.exitCode)).toEqual([5, 3]);
    const out = join(folder, 'traces', 'stdin-none');
    expect((await record({ ...common, out, name: 'none' })).exitCode).toBe(0);
    const missing = record({ ...common, out: `${out}-2`, name: 'x', stdin: join(inputs, 'gone') });
    await expect(missing).rejects.toThrow(/gone: cannot be read/);
  });

  it('stops at a limit of blocks', async () => {
    const { recorded, decoded } = await recordAndDecode('limit', {
      command: '/bin/ls',
      args: ['/'],
      maxBlocks: 1000,
    });
    expect(recorded.length).toBe(1000);
    expect(decoded.slice(0, 1000)).toEqual(recorded);
  });
});

describe('elfKind', () => {
  it('names scripts with their interpreter, and other files', () => {
    expect(() => elfKind(Buffer.from('#!/bin/sh -e\n'), 'x')).toThrow(/script.*\/bin\/sh -e/);
    expect(() => elfKind(Buffer.from('hello'), 'x')).toThrow(/no ELF/);
    const arm = Buffer.alloc(64);
    arm.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
    arm.writeUInt16LE(183, 18);
    expect(() => elfKind(arm, 'x')).toThrow(/another processor \(ELF machine 183\)/);
  });
});
