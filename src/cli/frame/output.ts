import { writeSync } from 'node:fs';
import { failureOf, messageOf } from '../../base/errors.ts';
import { exitCodes } from './failure.ts';

/**
 * Ends the process in good order where standard output or standard error cannot be written. A reader
 * that has seen enough (`wayward ... | head`) is no error; a full disk is one, that says so.
 */
export function guardOutput(): void {
  process.stdout.on('error', endBecauseOf);
  // Nobody is left to be told.
  process.stderr.on('error', () => {});
}

/** Waits between two tries to write to a full pipe, ms: the first, and the longest. */
const shortestWait = 0.25;
const longestWait = 16;

/**
 * Writes text on standard output, and comes back when all of it is written: a reader that is slower
 * than we are holds us up, and nothing is heaped up for it. `process.stdout` keeps what a pipe does
 * not take in memory, without an end.
 */
export function writeOut(text: string): void {
  if (taker !== undefined) {
    taker(text);
    return;
  }
  const bytes = Buffer.from(text);
  let wait = shortestWait;
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(1, bytes, done);
      wait = shortestWait;
    } catch (error) {
      // Pipes that somebody made non-blocking say so while they are full.
      if (failureOf(error) !== 'EAGAIN') endBecauseOf(error);
      Atomics.wait(nothing, 0, 0, wait);
      wait = Math.min(2 * wait, longestWait);
    }
  }
}

/** Columns for help texts: those of the terminal, as far as lines can be read well. */
export function helpWidth(): number {
  return Math.min(Math.max(process.stdout.columns ?? 80, 60), 100);
}

let taker: ((text: string) => void) | undefined;

/**
 * Gives what is written to the caller instead, for tests that run commands in their own process.
 *
 * @returns ends that
 */
export function takeOutput(take: (text: string) => void): () => void {
  taker = take;
  return () => {
    taker = undefined;
  };
}

const nothing = new Int32Array(new SharedArrayBuffer(4));

function endBecauseOf(error: unknown): never {
  if (failureOf(error) === 'EPIPE') process.exit(0);
  const text = `wayward: standard output cannot be written: ${messageOf(error)}\n`;
  try {
    // At once: the process ends before a stream would have written.
    writeSync(2, text);
  } catch {
    // Standard error may lie on the same disk.
  }
  process.exit(exitCodes.runtime);
}
