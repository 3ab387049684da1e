import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const corpus = fileURLToPath(new URL('../examples/corpus', import.meta.url));

/** A raw trace whose listing of packets is far larger than a pipe: a PSB and many TNT packets. */
function sampleOf(packets: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
  writeFileSync(join(folder, 'info.txt'), 'a\nbenign\n');
  writeFileSync(join(folder, 'mapping.txt'), '');
  const psb = Buffer.from('0282'.repeat(8), 'hex');
  writeFileSync(join(folder, 'trace_0'), Buffer.concat([psb, Buffer.alloc(packets, 0xaa)]));
  return folder;
}

const listing = (sample: string): string[] => [main, 'inspect', sample, '--packets', '--json'];

describe('what is listed', () => {
  test('waits for a reader that is slow, and arrives whole', async () => {
    const packets = 2_000_000;
    // Not `maxRSS`, which counts what a process was before it became this program: a copy of the tests' own.
    const tellsMemory =
      'data:text/javascript,import{readFileSync}from"node:fs";process.on("exit",()=>console.error(/VmHWM:\\s*(\\d+)/.exec(readFileSync("/proc/self/status","utf8"))[1]))';
    const child = spawn(
      process.execPath,
      ['--import', tellsMemory, ...listing(sampleOf(packets))],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let lines = 0;
    let bytes = 0;
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.stdout.on('data', (chunk: Buffer) => {
      // One long rest: whoever does not wait has heaped everything up by its end.
      if (bytes === 0) {
        child.stdout.pause();
        setTimeout(() => child.stdout.resume(), 4000);
      }
      bytes += chunk.length;
      for (const byte of chunk) if (byte === 10) lines++;
    });
    const [status] = (await once(child, 'close')) as [number];
    expect(status).toBe(0);
    expect(lines).toBe(packets + 1);
    expect(bytes).toBeGreaterThan(100e6);
    // Kilobytes.
    expect(Number(stderr)).toBeGreaterThan(0);
    expect(1024 * Number(stderr)).toBeLessThan(300e6);
  }, 60_000);

  test('ends quietly where its reader has seen enough', () => {
    const [node, ...words] = [process.execPath, ...listing(sampleOf(200_000))];
    const { status, stderr, stdout } = spawnSync(
      'bash',
      ['-c', 'set -o pipefail; "$@" | head -n 2', 'bash', node, ...words],
      { encoding: 'utf8' },
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.split('\n')).toHaveLength(3);
  });

  test.skipIf(!existsSync('/dev/full'))(
    'says that the disk is full',
    () => {
      const sample = join(corpus, 'traces', 'damaged-train-000');
      for (const words of [
        listing(sampleOf(200_000)),
        [main, 'inspect', sample, '--bin-dir', join(corpus, 'bin'), '--transfers', '--json'],
        [main, 'inspect', sample, '--bin-dir', join(corpus, 'bin')],
      ]) {
        const { status, stderr } = spawnSync(process.execPath, words, {
          encoding: 'utf8',
          stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
        });
        expect(stderr).toContain('wayward: standard output cannot be written: ENOSPC');
        expect(stderr).not.toContain('    at ');
        expect(status).toBe(3);
      }
    },
    60_000,
  );
});

test('a failure that nobody waited for is told as any other mistake of ours, with its exit code', () => {
  // Long before a listing of that length ends.
  const fails =
    'data:text/javascript,setTimeout(() => { Promise.reject(new Error("nobody waited")) }, 1)';
  const words = ['--import', fails, ...listing(sampleOf(300_000))];
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  expect(status).toBe(3);
  expect(stderr).toContain('this is a mistake in Wayward itself');
  expect(stderr).toContain('Error: nobody waited');
});
