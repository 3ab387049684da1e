import { appendFileSync } from 'node:fs';
import { messageOf } from '../../base/errors.ts';
import { writeFailed } from '../../base/files/failure.ts';

/**
 * A file that lines are added to, opened anew for each, so that it may be moved away. What cannot be written there
 * while a program is guarded is told once and lost: the guard must not end for it, since the program may end with it.
 *
 * @throws UserError `write-failed` where nothing can be written to begin with
 */
export function eventFile(path: string, warn: (message: string) => void): (line: string) => void {
  try {
    appendFileSync(path, '');
  } catch (cause) {
    throw writeFailed(path, cause);
  }
  let isTold = false;
  /** A line that was cut off does not spoil the next one. */
  let separator = '';
  return (line) => {
    try {
      appendFileSync(path, `${separator}${line}\n`);
      separator = '';
    } catch (cause) {
      separator = '\n';
      if (!isTold) warn(`${path}: what happens is not written there: ${messageOf(cause)}`);
      isTold = true;
    }
  };
}
