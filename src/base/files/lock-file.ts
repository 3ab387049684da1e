import { open, readFile, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { failureOf, isAbsent, messageOf, UserError } from '../errors.ts';
import { isRunning } from '../running.ts';
import { makeFolder } from './folder.ts';

/** Who holds a lock: host and process, for disks are shared and process numbers are not. */
export interface LockHolder {
  readonly host: string;
  readonly pid: number;
}

/** A lock's file that stays empty so long, in ms, was left by a process that was killed on the way. */
const longestEmpty = 5000;

/**
 * Waits until this process holds a lock. One of a process of this machine that has ended is taken over;
 * whether one of another machine has, nobody here can tell, so it holds.
 *
 * @param path  the lock's file, to be removed by `releaseLock`
 * @param patience  how long to wait, in ms
 * @param refuse  makes the error of one that is held still
 * @throws what `refuse` makes; UserError `lock-failed` when the file cannot be made
 */
export async function takeLock(
  path: string,
  patience: number,
  refuse: (holder: LockHolder) => UserError,
): Promise<void> {
  const started = performance.now();
  try {
    await makeFolder(dirname(path));
    for (;;) {
      if (await tryLock(path)) return;
      const holder = await holderOf(path);
      if (holder === undefined) continue;
      const isLeft = holder !== 'unwritten' && !isHeld(holder);
      // The second look is for the moment in which another one took the lock over.
      if (isLeft && show(await holderOf(path)) === show(holder)) {
        await rm(path, { force: true });
      } else if (performance.now() - started >= patience) {
        throw refuse(holder === 'unwritten' ? { host: hostname(), pid: 0 } : holder);
      } else {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError('lock-failed', `cannot be made: ${messageOf(cause)}`, {
      category: 'runtime',
      path,
      cause,
    });
  }
}

/** Gives a lock back. One that cannot be removed is taken over once this process has ended. */
export async function releaseLock(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => {});
}

/** @returns `process 12`, or `process 12 of HOST` when that is another machine */
export function describeHolder({ host, pid }: LockHolder): string {
  return host === hostname() ? `process ${pid}` : `process ${pid} of ${host}`;
}

/** @returns whether the lock was free and is ours now */
async function tryLock(path: string): Promise<boolean> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'wx');
  } catch (error) {
    if (failureOf(error) === 'EEXIST') return false;
    throw error;
  }
  try {
    await file.writeFile(`${hostname()} ${process.pid}\n`);
  } catch (error) {
    await rm(path, { force: true }).catch(() => {});
    throw error;
  } finally {
    await file.close();
  }
  return true;
}

/** @returns `undefined` when the lock is gone, `unwritten` while it is being made */
async function holderOf(path: string): Promise<LockHolder | 'unwritten' | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    const [, host, pid] = /^(?:(\S+) )?(\d+)\n$/.exec(text) ?? [];
    if (pid !== undefined) return { host: host ?? hostname(), pid: Number(pid) };
    const age = Date.now() - (await stat(path)).mtimeMs;
    return age > longestEmpty ? { host: hostname(), pid: 0 } : 'unwritten';
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

function isHeld({ host, pid }: LockHolder): boolean {
  return host !== hostname() || (pid > 0 && isRunning(pid));
}

function show(holder: LockHolder | 'unwritten' | undefined): string {
  return typeof holder === 'object' ? `${holder.host} ${holder.pid}` : String(holder);
}
