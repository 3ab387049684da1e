import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CodeCache } from '../../flow/code-cache.ts';
import { Fingerprint } from '../../flow/fingerprint.ts';
import { ImageStore } from '../../image/image-store.ts';
import { openTraces } from '../../trace/open-trace.ts';
import { readSample } from '../../trace/sample.ts';
import { type Recorded, type RecordOptions, record } from '../record.ts';

const canRecord = existsSync('/usr/bin/qemu-x86_64') && existsSync('/usr/bin/cc');
const libc32 = '/lib32/libc.so.6';
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wayward-test-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Outcome {
  readonly recorded: Recorded;
  /** Addresses that the recorder saw, by thread in order of their start; then it encodes the blocks, not the plugin. */
  readonly seen: number[][];
  /** Addresses that decoding gives, by trace file. */
  readonly decoded: number[][];
  readonly gaps: number;
  /** Blocks of no module. */
  readonly outside: number;
  readonly fingerprints: string[];
}

async function recordAndDecode(
  name: string,
  options: Pick<RecordOptions, 'command' | 'args'> & Partial<RecordOptions>,
  isSeen: boolean = true,
): Promise<Outcome> {
  const out = join(folder, name, 'traces', 'sample');
  const seen: number[][] = [];
  const onBlock = (address: number, thread: number): void => {
    seen[thread] ??= [];
    seen[thread].push(address);
  };
  const recorded = await record({
    label: 'benign',
    name,
    out,
    ...(isSeen ? { onBlock } : {}),
    ...options,
  });
  const codeCache = new CodeCache();
  const images = new ImageStore([join(folder, name, 'bin')], { rawImages: false });
  const traces = await openTraces(await readSample(out), {
    images,
    codeCache,
    preprocessed: false,
  });
  const decoded: number[][] = [];
  const fingerprints: string[] = [];
  let gaps = 0;
  let outside = 0;
  for (const { source } of traces) {
    const addresses: number[] = [];
    const fingerprint = new Fingerprint(source.blocks);
    const summary = await source.run((batch) => {
      fingerprint.add(batch);
      const { module, offset, modules } = source.blocks;
      for (let i = 0; i < batch.length; i++) {
        const block = batch.entries[i];
        if (block < 0) continue;
        if (module[block] < 0) outside++;
        addresses.push(offset[block] + (module[block] < 0 ? 0 : modules[module[block]].base));
      }
    });
    gaps += summary.gaps;
    decoded.push(addresses);
    fingerprints.push(fingerprint.value);
  }
  codeCache.dispose();
  return { recorded, seen, decoded, gaps, outside, fingerprints };
}

/** Translation blocks of one thread, as QEMU logs them. */
function addressesOf(log: string): number[] {
  const lines = log.matchAll(/Trace \d+: \S+ \[[0-9a-f]+\/([0-9a-f]+)/g);
  return Array.from(lines, ([, pc = '']) => Number.parseInt(pc, 16));
}

/**
 * Whether the log of a thread is the blocks, in order. QEMU cuts blocks at pages and around some
 * instructions, and logs each round of a repeated one: the log has entries inside blocks, too.
 */
function isLogOf(log: readonly number[], blocks: readonly number[]): boolean {
  let index = 0;
  let inside = 0;
  for (const [line, address] of log.entries()) {
    if (address === blocks[index]) index++;
    else {
      const into = address - blocks[index - 1];
      if (!(into >= 0 && into < 16_384)) return false;
      if (address !== log[line - 1]) inside++;
    }
  }
  return index === blocks.length && inside < 0.1 * index;
}

const programs: [string, string, string[], number][] = [
  ['one thread', '/usr/bin/sort', ['-r', '/etc/passwd'], 1],
  ['two threads and more', '/usr/bin/xz', ['-dc', '-T2', 'INPUT'], 3],
  ['32 bits', libc32, [], 1],
];

describe.skipIf(!canRecord)('recording backends', () => {
  describe.each(programs)("beside QEMU's own log, %s", (name, command, given, threads) => {
    it.skipIf(!existsSync(command))('decodes to the same blocks, thread by thread', async () => {
      const input = join(folder, 'input');
      const lines = Array.from({ length: 600 }, (_, i) => `line ${i * 7919} of ${i}\n`);
      await writeFile(input, lines.join(''));
      if (command.endsWith('xz')) {
        // With the sizes that let several threads unpack it.
        execFileSync('xz', ['-T2', '-0', '-f', '--block-size=4096', input]);
      }
      const args = given.map((word) => (word === 'INPUT' ? `${input}.xz` : word));
      // One run, told by both: by the plugin and by the log.
      const logs = await mkdtemp(join(folder, 'logs-'));
      const wrapper = join(logs, 'qemu');
      const qemu = command === libc32 ? 'qemu-i386' : 'qemu-x86_64';
      const flags = `-d exec,nochain,tid -D ${logs}/log.%d`;
      await writeFile(wrapper, `#!/bin/sh\nexec ${qemu} ${flags} "$@"\n`, { mode: 0o755 });
      const { recorded, seen, decoded, gaps } = await recordAndDecode(name, {
        command,
        args,
        qemu: wrapper,
      });
      expect(recorded.exitCode).toBe(0);
      expect(gaps).toBe(0);
      expect(seen.length).toBe(threads);
      const byLength = (a: number[], b: number[]): number => a.length - b.length;
      expect([...decoded].sort(byLength)).toEqual([...seen].sort(byLength));
      const names = (await readdir(logs)).filter((file) => file.startsWith('log.'));
      expect(names.length).toBe(threads);
      for (const file of names) {
        const log = addressesOf(await readFile(join(logs, file), 'latin1'));
        expect(decoded.filter((blocks) => isLogOf(log, blocks)).length).toBe(1);
      }
    });
  });

  it.each([
    ['/usr/bin/sha256sum', ['/etc/passwd']],
    [libc32, []],
  ])('see the same run of %s', async (command, args) => {
    if (!existsSync(command)) return;
    const name = command.replaceAll('/', '-');
    const plugin = await recordAndDecode(`plugin${name}`, { command, args, backend: 'plugin' });
    const log = await recordAndDecode(`log${name}`, { command, args, backend: 'log' });
    expect(plugin.recorded.backend).toBe('plugin');
    expect(log.recorded.backend).toBe('log');
    expect(log.gaps).toBe(0);
    expect(log.decoded).toEqual(log.seen);
    expect(log.seen).toEqual(plugin.seen);
    expect(log.fingerprints).toEqual(plugin.fingerprints);
    const encoded = await recordAndDecode(`encoded${name}`, { command, args }, false);
    expect(encoded.recorded.blocks).toEqual(plugin.recorded.blocks);
    expect(encoded.fingerprints).toEqual(plugin.fingerprints);
    const few = { command, args, maxBlocks: 2000 };
    const cut = await recordAndDecode(`cut${name}`, few, false);
    const seenCut = await recordAndDecode(`seen-cut${name}`, few);
    expect(cut.recorded.blocks).toEqual([2000]);
    expect(cut.recorded.end).toBe('limit');
    expect(cut.fingerprints).toEqual(seenCut.fingerprints);
  });

  it.each(['plugin', 'log'] as const)(
    'follow threads, signals and a crash, %s',
    async (backend) => {
      const command = await compile(
        'busy',
        `#include <pthread.h>
       #include <signal.h>
       #include <sys/time.h>
       static volatile int n;
       static void on_alarm(int s) { n += s; }
       static void *work(void *p) { for (volatile int i = 0; i < 3000; i++) ; return p; }
       int main(void) {
         pthread_t t[4];
         for (int i = 0; i < 4; i++) {
           pthread_create(t + i, 0, work, 0);
           if (i % 2) pthread_join(t[i - 1], 0), pthread_join(t[i], 0);
         }
         signal(SIGALRM, on_alarm);
         struct itimerval timer = {{0, 2000}, {0, 2000}};
         setitimer(ITIMER_REAL, &timer, 0);
         while (n < 14 * 20) for (volatile int i = 0; i < 1000; i++) ;
         *(volatile int *)0 = 1;
       }`,
      );
      const isSeen = backend === 'log';
      const options = { command, args: [], backend };
      const { recorded, seen, decoded, gaps } = await recordAndDecode(
        `busy-${backend}`,
        options,
        isSeen,
      );
      expect(gaps).toBe(0);
      expect(recorded.end).toBe('signal');
      expect(recorded.signals).toBeGreaterThanOrEqual(10);
      expect(recorded.blocks.length).toBe(5);
      for (const count of recorded.blocks.slice(1)) {
        expect(count).toBeGreaterThan(3000);
        expect(count).toBeLessThan(4000);
      }
      expect(decoded.map(({ length }) => length)).toEqual(recorded.blocks);
      if (!isSeen) return;
      const byLength = (a: number[], b: number[]): number => a.length - b.length;
      expect([...decoded].sort(byLength)).toEqual([...seen].sort(byLength));
    },
  );

  it('stop at a fork, which only the plugin can follow', async () => {
    const command = await compile(
      'forks',
      `#include <sys/wait.h>
       #include <unistd.h>
       int main(void) {
         if (fork() == 0) _exit(3);
         wait(0);
         for (volatile int i = 0; i < 5000; i++) ;
       }`,
    );
    const log = await recordAndDecode('forks-log', { command, args: [], backend: 'log' });
    expect([log.recorded.end, log.recorded.forks]).toEqual(['fork', 1]);
    expect(log.decoded).toEqual(log.seen);
    const plugin = await recordAndDecode('forks', { command, args: [], backend: 'plugin' });
    expect([plugin.recorded.end, plugin.recorded.forks]).toEqual(['exit', 1]);
    expect(plugin.seen[0]?.length).toBeGreaterThan((log.seen[0]?.length ?? 0) + 5000);
  });

  it.each(['plugin', 'log'] as const)('save code that lies in no file, %s', async (backend) => {
    const command = await compile(
      'jit',
      `#include <string.h>
       #include <sys/mman.h>
       /* mov eax, edi; add eax, 1; ret */
       static const unsigned char code[] = {0x89, 0xf8, 0x83, 0xc0, 0x01, 0xc3};
       int main(void) {
         unsigned char *p = mmap(0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         memcpy(p + 4090, code, sizeof code);
         mprotect(p, 8192, 5);
         int n = 0;
         for (int i = 0; i < 100; i++) n = ((int (*)(int))(p + 4090))(n);
         return n;
       }`,
    );
    const options = { command, args: [], backend };
    const { recorded, seen, decoded, gaps, outside } = await recordAndDecode(
      `jit-${backend}`,
      options,
    );
    expect(recorded.exitCode).toBe(100);
    expect(recorded.madeCodeBytes).toBe(4096);
    expect(outside).toBe(100);
    expect(recorded.rewrittenPages).toBe(0);
    expect(gaps).toBe(0);
    expect(decoded).toEqual(seen);
    const without = await recordAndDecode(`no-jit-${backend}`, { ...options, saveMadeCode: false });
    expect(without.recorded.madeCodeBytes).toBe(0);
    expect(without.gaps).toBeGreaterThan(0);
  });

  it('say when code changed after it had run', async () => {
    const command = await compile(
      'rewrite',
      `#include <string.h>
       #include <sys/mman.h>
       static unsigned char code[] = {0xb8, 0x01, 0, 0, 0, 0xc3};
       int main(void) {
         unsigned char *p = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         int n = 0;
         for (int i = 0; i < 3; i++) {
           code[1] = i;
           memcpy(p, code, sizeof code);
           n += ((int (*)(void))p)();
         }
         return n;
       }`,
    );
    const { recorded } = await recordAndDecode('rewrite', { command, args: [] });
    expect(recorded.exitCode).toBe(3);
    expect(recorded.rewrittenPages).toBe(1);
  });
});

async function compile(name: string, source: string): Promise<string> {
  const file = join(folder, `${name}.c`);
  await writeFile(file, source);
  const command = join(folder, `${name}.elf`);
  execFileSync('cc', ['-O1', '-pthread', '-o', command, file]);
  return command;
}
