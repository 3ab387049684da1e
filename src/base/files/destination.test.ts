import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { appendSync, writeFileAtomic, writeFileParts } from './write.ts';

const isRoot = process.getuid?.() === 0;
const hasPipes = spawnSync('mkfifo', ['--version']).status === 0;
const hasNull = existsSync('/dev/null');
const fresh = (): string => mkdtempSync(join(tmpdir(), 'wayward-'));
const filesUrl = fileURLToPath(new URL('./write.ts', import.meta.url));

/** The two ways in which files are written. */
const writers: [string, (path: string, text: string) => Promise<void>][] = [
  ['whole', (path, text) => writeFileAtomic(path, text)],
  [
    'in pieces',
    (path, text) =>
      writeFileParts(path, async (file) => {
        for (const character of text) appendSync(file, path, Buffer.from(character));
        return true;
      }),
  ],
];

describe.each(writers)('written %s', (_, write) => {
  test('a file keeps its mode and leaves no part', async () => {
    const folder = fresh();
    const path = join(folder, 'out.csv');
    writeFileSync(path, 'old');
    for (const mode of [0o600, 0o640, 0o755, 0o666]) {
      chmodSync(path, mode);
      await write(path, 'new');
      expect(statSync(path).mode & 0o7777).toBe(mode);
    }
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(readdirSync(folder)).toEqual(['out.csv']);
  });

  test.skipIf(!isRoot)('a file keeps its owner', async () => {
    const path = join(fresh(), 'out.csv');
    writeFileSync(path, 'old');
    expect(spawnSync('chown', ['12:34', path]).status).toBe(0);
    await write(path, 'new');
    expect(statSync(path)).toMatchObject({ uid: 12, gid: 34 });
  });

  test('a link stays one, and what it leads to is replaced', async () => {
    const folder = fresh();
    mkdirSync(join(folder, 'far', 'away'), { recursive: true });
    symlinkSync('far/away', join(folder, 'near'));
    // From the link's own folder as the system sees it: far/away/../out.csv.
    symlinkSync('../out.csv', join(folder, 'near', 'second'));
    symlinkSync('near/second', join(folder, 'first'));
    for (const text of ['made', 'replaced']) {
      await write(join(folder, 'first'), text);
      expect(readFileSync(join(folder, 'far', 'out.csv'), 'utf8')).toBe(text);
      expect(readlinkSync(join(folder, 'first'))).toBe('near/second');
    }
    expect(readdirSync(join(folder, 'far')).sort()).toEqual(['away', 'out.csv']);
  });

  test('the other name of a file keeps the old content', async () => {
    const folder = fresh();
    writeFileSync(join(folder, 'a'), 'old');
    linkSync(join(folder, 'a'), join(folder, 'b'));
    await write(join(folder, 'a'), 'new');
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('new');
    expect(readFileSync(join(folder, 'b'), 'utf8')).toBe('old');
  });

  test.skipIf(!hasPipes)('a pipe is written to', async () => {
    const pipe = join(fresh(), 'pipe');
    spawnSync('mkfifo', [pipe]);
    const long = 'x'.repeat(10_000);
    const reader = promisify(execFile)('cat', [pipe]);
    await write(pipe, long);
    expect((await reader).stdout).toBe(long);
    expect(lstatSync(pipe).isFIFO()).toBe(true);
  });

  test.skipIf(!hasNull)('a device is written to', async () => {
    const link = join(fresh(), 'null');
    symlinkSync('/dev/null', link);
    await write(link, 'gone');
    expect(statSync(link).isCharacterDevice()).toBe(true);
    // By a link, too: a mistake here should cost a link, not the machine's device.
    const full = join(fresh(), 'full');
    symlinkSync('/dev/full', full);
    await expect(write(full, 'x')).rejects.toMatchObject({ code: 'write-failed', path: full });
  });

  test('folders, sockets, loops and write-protected files are refused', async () => {
    const folder = fresh();
    const socket = join(folder, 'socket');
    const server = createServer().listen(socket);
    await once(server, 'listening');
    symlinkSync('loop', join(folder, 'loop'));
    const refused: [string, string][] = [
      [folder, 'it is a folder'],
      [socket, 'it is a socket'],
      [join(folder, 'loop'), 'symbolic links'],
    ];
    if (!isRoot) {
      writeFileSync(join(folder, 'protected'), 'old', { mode: 0o444 });
      refused.push([join(folder, 'protected'), 'EACCES']);
    }
    for (const [path, why] of refused) {
      await expect(write(path, 'x'), path).rejects.toThrow(`${path}: cannot be written: `);
      await expect(write(path, 'x'), path).rejects.toThrow(why);
    }
    expect(lstatSync(socket).isSocket()).toBe(true);
    server.close();
  });
});

test.skipIf(!hasNull)('standard output, pipe or file, is written behind what it has', async () => {
  const out = join(fresh(), 'out');
  // As /dev/stdout is one, but no loss to the machine when it is replaced by mistake.
  const link = `${out}-link`;
  symlinkSync('/proc/self/fd/1', link);
  const script = `
    import { writeSync } from 'node:fs';
    const { writeFileAtomic } = await import(${JSON.stringify(filesUrl)});
    writeSync(1, 'before ');
    await writeFileAtomic(${JSON.stringify(link)}, 'inside ');
    await writeFileAtomic('/dev/fd/1', 'inside ');
    writeSync(1, 'after');
  `;
  const run = (end: string): ChildProcess =>
    spawn('sh', ['-c', `"$0" --input-type=module -e "$1" ${end}`, process.execPath, script]);
  const file = run(`> ${out}`);
  await once(file, 'exit');
  expect(readFileSync(out, 'utf8')).toBe('before inside inside after');
  const pipe = run(`| cat > ${out}`);
  await once(pipe, 'exit');
  expect(readFileSync(out, 'utf8')).toBe('before inside inside after');
});
