import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, realpath, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Address } from '../base/address.ts';
import { UserError } from '../base/errors.ts';
import { messageOf, readWholeFile, writeFileAtomic } from '../base/files.ts';
import { parseImage, type Segment } from '../image/image.ts';
import { elfKind } from './elf-kind.ts';
import { ImageCollection } from './image-collection.ts';
import { buildPlugin } from './plugin-build.ts';
import { RecordingReader } from './recording-reader.ts';

const deflate = promisify(gzip);

export interface RecordOptions {
  /** Path of an x86 ELF program. */
  readonly command: string;
  readonly args: readonly string[];
  /** Folder of the sample; must not exist. */
  readonly out: string;
  /** Where the images go; by default `bin` beside the sample's parent folder. */
  readonly images?: ImageCollection;
  readonly binDir?: string;
  readonly label: 'benign' | 'malicious';
  /** What the sample is a run of: first line of `info.txt`. */
  readonly name: string;
  /** Third line of `info.txt`. */
  readonly family?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The program's standard input is empty; its output goes nowhere. */
  readonly timeoutSeconds?: number;
  readonly maxBlocks?: number;
  /** Symbol, or base name of a file, before whose first block nothing is recorded. */
  readonly skipUntil?: string;
  readonly compressReturns?: boolean;
  /** The emulator; by default `qemu-x86_64` or `qemu-i386` of the search path. */
  readonly qemu?: string;
  /** A compiled plugin; without it one is compiled for this call. */
  readonly plugin?: string;
  /** Path that the memory map gives a file, when not its own. */
  readonly showPath?: (path: string) => string;
  /** Address of each block of the first thread. */
  readonly onBlock?: (address: Address) => void;
  readonly signal?: AbortSignal;
}

export interface Recorded {
  readonly folder: string;
  /** Blocks of each thread, first thread first. */
  readonly blocks: readonly number[];
  readonly traceBytes: number;
  readonly signals: number;
  /** Children that were not recorded. */
  readonly forks: number;
  readonly replacedBy: string | undefined;
  readonly end: 'exit' | 'signal' | 'timeout' | 'limit';
  readonly exitCode: number | undefined;
  readonly killedBy: string | undefined;
  readonly seconds: number;
}

/**
 * Runs a program under QEMU's user mode and writes its control flow as a sample folder with Intel
 * PT traces, one for each thread (`trace_0.gz` is the first thread's).
 *
 * @throws UserError `not-readable`, `not-recordable`, `no-compiler`, `no-qemu`, `out-exists`, `nothing-recorded`
 */
export async function record(options: RecordOptions): Promise<Recorded> {
  const out = resolve(options.out);
  const command = await realpath(options.command).catch(() => resolve(options.command));
  const program = await readWholeFile(command);
  const kind = elfKind(program, command);
  const segments = new Map<string, readonly Segment[]>();
  segments.set(command, parseImage(program, false).segments);
  if (kind.loader !== undefined) {
    const loader = await realpath(kind.loader).catch(() => kind.loader ?? '');
    segments.set(loader, parseImage(await readWholeFile(loader), false).segments);
  }
  if (existsSync(out)) {
    throw new UserError('out-exists', 'exists already', { category: 'arguments', path: out });
  }
  await mkdir(dirname(out), { recursive: true });
  const work = await mkdtemp(join(tmpdir(), 'wayward-record-'));
  const part = `${out}.part`;
  try {
    const plugin = options.plugin ?? (await buildPlugin(work));
    const started = performance.now();
    const reader = new RecordingReader({
      bitness: kind.bitness,
      compressReturns: options.compressReturns ?? true,
      maxBlocks: options.maxBlocks ?? Number.MAX_SAFE_INTEGER,
      segments: (path) => segments.get(path),
      ...(options.skipUntil === undefined ? {} : { skipUntil: options.skipUntil }),
      ...(options.onBlock === undefined ? {} : { onBlock: options.onBlock }),
    });
    const qemu = options.qemu ?? (kind.bitness === 64 ? 'qemu-x86_64' : 'qemu-i386');
    const ran = await run(qemu, plugin, work, command, options, reader);
    for (const name of await readdir(work)) {
      const cpu = /^(\d+)\.tail$/.exec(name)?.[1];
      if (cpu !== undefined) reader.addTail(Number(cpu), await readFile(join(work, name)));
    }
    const threads = reader.finish();
    if (threads.length === 0) {
      if (options.skipUntil !== undefined && reader.map.codeFiles.length > 0) {
        throw new UserError('nothing-recorded', `never came to ${options.skipUntil}`, {
          category: 'input',
          path: command,
        });
      }
      const why = ran.errors.trim().split('\n').slice(-3).join('; ');
      throw new UserError('nothing-recorded', `did not run under ${qemu}: ${why}`, {
        category: 'runtime',
        path: command,
      });
    }
    await rm(part, { recursive: true, force: true });
    const images =
      options.images ?? new ImageCollection(options.binDir ?? join(dirname(dirname(out)), 'bin'));
    let map = reader.map.text();
    for (const path of reader.map.codeFiles) {
      const name = await images.add(path);
      const shown = options.showPath?.(path) ?? path;
      const renamed = name === basename(path) ? shown : join(dirname(shown), name);
      if (renamed !== path) map = map.replaceAll(` ${path}\n`, ` ${renamed}\n`);
    }
    let traceBytes = 0;
    for (const [index, { bytes }] of threads.entries()) {
      const whole = Buffer.concat(bytes);
      traceBytes += whole.length;
      await writeFileAtomic(join(part, `trace_${index}.gz`), await deflate(whole, { level: 9 }));
    }
    await writeFileAtomic(join(part, 'mapping.txt'), map);
    const family = options.family === undefined ? '' : `${options.family}\n`;
    await writeFileAtomic(join(part, 'info.txt'), `${options.name}\n${options.label}\n${family}`);
    await rename(part, out).catch((cause: unknown) => {
      throw new UserError('out-exists', `cannot be made: ${messageOf(cause)}`, {
        category: 'runtime',
        path: out,
        cause,
      });
    });
    return {
      folder: out,
      blocks: threads.map(({ blocks }) => blocks),
      traceBytes,
      signals: threads.reduce((sum, { interrupts }) => sum + interrupts, 0),
      forks: reader.forks,
      replacedBy: reader.replacedBy,
      end: ran.end,
      exitCode: ran.code ?? undefined,
      killedBy: ran.killedBy ?? undefined,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(part, { recursive: true, force: true });
  }
}

interface Ran {
  readonly end: Recorded['end'];
  readonly code: number | null;
  readonly killedBy: string | null;
  readonly errors: string;
}

async function run(
  qemu: string,
  plugin: string,
  tails: string,
  command: string,
  options: RecordOptions,
  reader: RecordingReader,
): Promise<Ran> {
  // The processor is the same whatever the host has, so that libraries choose the same code.
  const flags = ['-cpu', 'max', '-plugin', `file=${plugin},fd=3,tails=${tails}`];
  const child: ChildProcess = spawn(qemu, [...flags, command, ...options.args], {
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', ...options.env },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let end: Recorded['end'] = 'exit';
  let errors = '';
  const stop = (why: Recorded['end']): void => {
    if (end === 'exit') end = why;
    child.kill('SIGKILL');
  };
  const { timeoutSeconds } = options;
  const timer =
    timeoutSeconds === undefined
      ? undefined
      : setTimeout(() => stop('timeout'), timeoutSeconds * 1000);
  const onAbort = (): void => void child.kill('SIGKILL');
  options.signal?.addEventListener('abort', onAbort, { once: true });
  const pipe = child.stdio[3] as Readable | null;
  let damage: unknown;
  const exited = new Promise<{ code: number | null; killedBy: string | null }>((done, fail) => {
    child.on('error', (cause: NodeJS.ErrnoException) => {
      const isMissing = cause.code === 'ENOENT';
      const why = isMissing
        ? `${qemu} is not installed (Debian, Ubuntu: package qemu-user)`
        : `${qemu} cannot be run: ${messageOf(cause)}`;
      fail(new UserError('no-qemu', why, { category: 'unavailable', cause }));
    });
    // A child that the program left behind may hold the pipes open: do not wait for their end.
    child.on('exit', (code, killedBy) => done({ code, killedBy }));
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    if (errors.length < 65536) errors += chunk.toString('utf8');
  });
  const drained = new Promise<void>((done) => {
    pipe?.on('data', (chunk: Buffer) => {
      try {
        if (damage === undefined && end !== 'limit' && reader.add(chunk)) stop('limit');
      } catch (error) {
        damage = error;
        child.kill('SIGKILL');
      }
    });
    pipe?.on('close', done);
    if (pipe === null) done();
  });
  try {
    const { code, killedBy } = await exited;
    await drained;
    if (damage !== undefined) throw damage;
    options.signal?.throwIfAborted();
    if (end === 'exit' && killedBy !== null) end = 'signal';
    return { end, code, killedBy, errors };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
    pipe?.destroy();
  }
}
