import { failureOf } from './errors.ts';
/** @returns whether a process of this machine exists, whoever it belongs to */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // The process is there, but another user's.
    return failureOf(error) === 'EPERM';
  }
}
