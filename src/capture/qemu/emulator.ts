import { type ChildProcess, spawn } from 'node:child_process';
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { messageOf, UserError } from '../../base/errors.ts';
import type { Backend } from './backend.ts';
import { streamSource } from './chunk-source.ts';
import { guestEnvironment, standardEnvironment } from './environment.ts';

export interface EmulatorOptions {
  readonly qemu: string;
  readonly command: string;
  readonly args: readonly string[];
  /** What the environment is made from; by default `standardEnvironment`. */
  readonly baseEnv?: Readonly<Record<string, string>> | undefined;
  /** Added to it. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  /** File that the program reads on its standard input; otherwise that is empty. */
  readonly stdin?: string | undefined;
  readonly timeoutSeconds?: number | undefined;
  /** Asked after each piece of the recording. */
  readonly isFull: () => boolean;
  readonly signal?: AbortSignal | undefined;
}

/** `fork`: recording ended where the program forked, because the backend cannot tell the two apart. */
export type End = 'exit' | 'signal' | 'timeout' | 'limit' | 'fork';

export interface Ran {
  readonly end: End;
  readonly code: number | null;
  readonly killedBy: string | null;
  /** What the program and QEMU wrote on standard error, at most 64 KB. */
  readonly errors: string;
}

/**
 * Runs a program under QEMU's user mode and passes on what the backend sees.
 *
 * @throws UserError `no-qemu`, `not-readable` for the file of `stdin`, and what the backend throws
 */
export async function emulate(options: EmulatorOptions, backend: Backend): Promise<Ran> {
  const { qemu, command, args, cwd, stdin, timeoutSeconds, signal } = options;
  const { baseEnv = standardEnvironment, env = {} } = options;
  const guest = guestEnvironment({ ...baseEnv, ...env });
  const input = stdin === undefined ? undefined : await openInput(stdin);
  const isOwn = backend.source !== 'descriptor';
  // The processor is the same whatever the host has, so that libraries choose the same code.
  const words = ['-cpu', 'max', ...backend.flags, ...guest.flags, command, ...args];
  const child: ChildProcess = spawn(qemu, words, {
    env: guest.env,
    stdio: [input?.fd ?? 'ignore', 'ignore', 'pipe', isOwn ? 'ignore' : 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  });
  // The program has its own copy of the descriptor.
  await input?.close();
  const source = isOwn ? backend.source : streamSource(child.stdio[3] as Readable);
  let end: End = 'exit';
  let errors = '';
  let damage: unknown;
  const stop = (why: End): void => {
    if (end === 'exit') end = why;
    child.kill('SIGKILL');
    // Children of the program that hold the other end would keep it open.
    if (why === 'fork') void source.stop();
  };
  const timer =
    timeoutSeconds === undefined
      ? undefined
      : setTimeout(() => stop('timeout'), timeoutSeconds * 1000);
  const onAbort = (): void => void child.kill('SIGKILL');
  signal?.addEventListener('abort', onAbort, { once: true });
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
  const drained = source.read((chunk) => {
    if (damage !== undefined || end === 'limit' || end === 'fork') return;
    try {
      backend.add(chunk);
      if (options.isFull()) stop('limit');
      else if (backend.isBlind()) stop('fork');
    } catch (error) {
      damage = error;
      child.kill('SIGKILL');
    }
  });
  // Awaited below, unless the emulator cannot be run at all.
  drained.catch(() => {});
  try {
    const { code, killedBy } = await exited;
    await backend.ended();
    await drained;
    if (damage !== undefined) throw damage;
    signal?.throwIfAborted();
    if (end === 'exit' && killedBy !== null) end = 'signal';
    return { end, code, killedBy, errors };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    await source.stop();
  }
}

async function openInput(path: string): Promise<FileHandle> {
  try {
    return await open(path);
  } catch (cause) {
    throw new UserError('not-readable', `cannot be read: ${messageOf(cause)}`, {
      category: 'input',
      path,
      cause,
    });
  }
}
