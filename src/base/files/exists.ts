import { type Stats, statSync } from 'node:fs';
import { notReadable } from './failure.ts';

// Node's own `existsSync` says no where nobody could look, too: what was there was then taken for missing.

/**
 * @returns what stands at a path, links followed; `undefined` where nothing does
 * @throws UserError `not-readable` where that cannot be told: a disk that fails, a folder that may not be read
 */
export function statusOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    throw notReadable(path, cause);
  }
}

/** @returns whether something stands at a path, links followed. @throws UserError as `statusOf` */
export function isThere(path: string): boolean {
  return statusOf(path) !== undefined;
}
