import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { makeFolder } from './folder.ts';
import { readMaybeGzip, streamMaybeGzip } from './read.ts';
import { removeStaleParts, writeFileAtomic, writeFileParts } from './write.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
const path = join(folder, 'data.bin');
const host = hostname().replace(/[^A-Za-z0-9]/g, '_');
const yesterday = Date.now() / 1000 - 25 * 3600;

test.each([
  ['of a process that is gone', `${host}-4194303-00000001`, false, true],
  ['of this process', `${host}-${process.pid}-00000001`, false, true],
  ['of a process that runs', `${host}-${process.ppid}-00000001`, false, false],
  ['of another machine', 'elsewhere-1-00000001', false, false],
  ['of another machine, a day old', 'elsewhere-1-00000001', true, true],
])('a part file %s: removed or kept', async (_, name, isOld, isRemoved) => {
  const part = `${path}.${name}.part`;
  writeFileSync(part, 'half');
  if (isOld) utimesSync(part, yesterday, yesterday);
  const other = join(folder, `other.bin.${name}.part`);
  writeFileSync(other, 'half');
  await removeStaleParts(path);
  expect(existsSync(part)).toBe(!isRemoved);
  expect(existsSync(other)).toBe(true);
});

test('a writer that says no, or throws, leaves the old file and no part', async () => {
  writeFileSync(path, 'old');
  const before = new Set(['old']);
  await writeFileParts(path, async () => false);
  await expect(
    writeFileParts(path, async () => {
      throw new Error('cause');
    }),
  ).rejects.toThrow('cause');
  expect(before.has(readFileSync(path, 'utf8'))).toBe(true);
});

test('a file that inflates to gigabytes is refused', async () => {
  // 300 MB of zeros, as 30 members of one kind.
  const member = gzipSync(Buffer.alloc(10 << 20));
  writeFileSync(path, Buffer.concat(Array(30).fill(member)));
  await expect(readMaybeGzip(path)).rejects.toThrow('data.bin: holds more than 256 MB');
});

describe('a stream, plain or gzip', () => {
  const read = async (from: string): Promise<Buffer> => {
    const parts: Uint8Array[] = [];
    for await (const chunk of streamMaybeGzip(from)) parts.push(chunk);
    return Buffer.concat(parts);
  };
  const content = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * i) >> 7));

  test.each([
    ['plain', content],
    ['plain, one byte', Buffer.from([0x1f])],
    ['plain, empty', Buffer.alloc(0)],
  ])('%s', async (_, bytes) => {
    writeFileSync(path, bytes);
    expect((await read(path)).equals(bytes)).toBe(true);
  });

  test('gzip, of several members', async () => {
    writeFileSync(path, Buffer.concat([gzipSync(content), gzipSync(content)]));
    expect((await read(path)).equals(Buffer.concat([content, content]))).toBe(true);
  });

  test('gzip that is cut off, a folder, and nothing are named', async () => {
    writeFileSync(path, gzipSync(content).subarray(0, 5000));
    await expect(read(path)).rejects.toThrow('the gzip data is cut off or damaged');
    await expect(read(folder)).rejects.toThrow('it is a folder');
    await expect(read(join(folder, 'gone'))).rejects.toThrow('there is no such file');
  });

  test.skipIf(spawnSync('mkfifo', ['--version']).status !== 0)('through a pipe', async () => {
    const pipe = join(folder, 'pipe');
    spawnSync('mkfifo', [pipe]);
    for (const bytes of [content, gzipSync(content)]) {
      writeFileSync(path, bytes);
      const cat = spawn('sh', ['-c', 'cat "$0" > "$1"', path, pipe]);
      expect((await read(pipe)).equals(content)).toBe(true);
      if (cat.exitCode === null) await once(cat, 'exit');
    }
  });
});

describe('makeFolder', () => {
  test('makes what is missing, also when several do at once, and leaves what is there', async () => {
    const path = join(folder, 'a', 'b', 'c');
    await Promise.all(Array.from({ length: 8 }, () => makeFolder(path)));
    await makeFolder(path);
    expect(statSync(path).isDirectory()).toBe(true);
  });

  test('of many at once, none fails because another made the folder above first', async () => {
    // Each round races anew: what looked before it acted failed in one of a few.
    for (let round = 0; round < 60; round++) {
      const root = join(folder, `round-${round}`, 'traces');
      const paths = Array.from({ length: 8 }, (_, i) => join(root, `input-${i}`, 'deep'));
      await Promise.all(paths.map((one) => makeFolder(one)));
      for (const one of paths) expect(statSync(one).isDirectory()).toBe(true);
    }
  });

  test('says what is in the way', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    await expect(makeFolder(file)).rejects.toMatchObject({ code: 'write-failed', path: file });
    const below = join(file, 'x', 'y');
    await expect(makeFolder(below)).rejects.toMatchObject({ code: 'write-failed' });
  });

  test.skipIf(!existsSync('/proc/self'))('ends where no folder can be made', async () => {
    await expect(makeFolder('/proc/x/y')).rejects.toMatchObject({ path: '/proc/x' });
    await expect(writeFileAtomic('/proc/x/y', 'z')).rejects.toMatchObject({ code: 'write-failed' });
  });
});
