import { writeSync } from 'node:fs';
import { exitCodes } from './failure.ts';

/**
 * Ends the process in good order where standard output or standard error cannot be written. A reader
 * that has seen enough (`wayward ... | head`) is no error; a full disk is one, that says so.
 */
export function guardOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    const text = `wayward: standard output cannot be written: ${error.message}\n`;
    try {
      // At once: the process ends before a stream would have written.
      writeSync(2, text);
    } catch {
      // Standard error may lie on the same disk.
    }
    process.exit(exitCodes.runtime);
  });
  // Nobody is left to be told.
  process.stderr.on('error', () => {});
}
