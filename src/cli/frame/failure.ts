import { CommanderError } from 'commander';
import { type ErrorCategory, UserError } from '../../base/errors.ts';
import { forTerminal, inOneLine } from '../../base/format.ts';

/** What each kind of failure exits with; 10 (anomalies found) comes from `--exit-code` alone. */
export const exitCodes: Record<ErrorCategory, number> = {
  arguments: 1,
  unavailable: 2,
  runtime: 3,
  interrupted: 4,
  input: 5,
};

/** @returns what a command that threw says on standard error, and what it exits with */
export function describeFailure(error: unknown): { readonly text: string; readonly code: number } {
  if (error instanceof CommanderError) {
    // Commander has printed its message; help and version are no failures.
    return { text: '', code: error.exitCode === 0 ? 0 : exitCodes.arguments };
  }
  if (error instanceof UserError) {
    // Only where there are several mistakes is a line break ours, and none of a name's.
    const lines = error.code === 'bad-options' ? error.message.split('\n') : [error.message];
    return {
      text: lines.map((line) => `wayward: ${inOneLine(line)}\n`).join(''),
      code: exitCodes[error.category],
    };
  }
  const shown = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    text: `wayward: this is a mistake in Wayward itself, please report it:\n${forTerminal(shown)}\n`,
    code: exitCodes.runtime,
  };
}
