import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CodeCache } from '../flow/code-cache.ts';
import { ImageStore } from '../image/image-store.ts';
import { openTraces } from '../trace/open-trace.ts';
import { readSample } from '../trace/sample.ts';
import { elfKind } from './elf-kind.ts';
import { type RecordOptions, record } from './record.ts';

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
): Promise<{ recorded: number[]; decoded: number[]; marks: number; signals: number }> {
  const recorded: number[] = [];
  const out = join(folder, 'traces', name);
  const { signals } = await record({
    label: 'benign',
    name,
    out,
    onBlock: (address) => recorded.push(address),
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
  await source.run(({ entries, length }) => {
    const { module, offset, modules } = source.blocks;
    for (let i = 0; i < length; i++) {
      const block = entries[i];
      if (block < 0) marks++;
      else decoded.push(offset[block] + (module[block] < 0 ? 0 : modules[module[block]].base));
    }
  });
  codeCache.dispose();
  return { recorded, decoded, marks, signals };
}

describe.skipIf(!canRecord)('record', () => {
  it.each([true, false])(
    'decodes to the blocks that QEMU ran, return compression %s',
    async (on) => {
      const { recorded, decoded, marks } = await recordAndDecode(`ls-${on}`, {
        command: '/bin/ls',
        args: ['-l', '/'],
        compressReturns: on,
      });
      expect(recorded.length).toBeGreaterThan(50_000);
      expect(marks).toBe(0);
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
    const { recorded, decoded, signals } = await recordAndDecode('signals', { command, args: [] });
    expect(signals).toBeGreaterThanOrEqual(1);
    expect(decoded).toEqual(recorded);
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
