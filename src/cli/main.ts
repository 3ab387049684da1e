#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { type ErrorCategory, UserError } from '../base/errors.ts';
import { forTerminal } from '../base/format.ts';
import { version } from '../base/version.ts';
import { commands } from './commands.ts';

/** What each kind of failure exits with; 10 (anomalies found) comes from `--exit-code` alone. */
const exitCodes: Record<ErrorCategory, number> = {
  arguments: 1,
  unavailable: 2,
  runtime: 3,
  interrupted: 4,
  input: 5,
};

const overview = `Wayward ${version} finds the runs in which a program strayed from its normal control flow.

  npm run demo                     from recordings to a report, in seconds
  wayward record -- PROGRAM ...    record a run without special hardware
  wayward learn ROOT               learn the normal control flow, predict the rest
  wayward classify RUN             a verdict for each trace
  wayward report RUN               one HTML page of all of it
  wayward inspect SAMPLE           what is in a trace
  wayward doctor                   what this machine can do

ROOT holds one folder a sample. "wayward help COMMAND" explains each command with examples;
"wayward help" lists them all.`;

async function main(words: readonly string[]): Promise<void> {
  if (words.length === 0) {
    process.stdout.write(`${overview}\n`);
    return;
  }
  const program = new Command('wayward')
    .description('Finds the runs in which a program strayed from its normal control flow.')
    .version(version, '-V, --version')
    .helpOption('-h, --help')
    .showHelpAfterError('Try: wayward help')
    .exitOverride();
  for (const command of commands()) {
    command.exitOverride();
    program.addCommand(command);
  }
  await program.parseAsync(words, { from: 'user' });
}

function fail(error: unknown): void {
  if (error instanceof CommanderError) {
    // Commander has printed its message; help and version are no failures.
    process.exitCode = error.exitCode === 0 ? 0 : exitCodes.arguments;
    return;
  }
  if (error instanceof UserError) {
    const lines = forTerminal(error.message).split('\n');
    process.stderr.write(lines.map((line) => `wayward: ${line}\n`).join(''));
    process.exitCode = exitCodes[error.category];
    return;
  }
  const shown = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(
    `wayward: this is a mistake in Wayward itself, please report it:\n${shown}\n`,
  );
  process.exitCode = exitCodes.runtime;
}

// A reader that has seen enough (`wayward ... | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

await main(process.argv.slice(2)).catch(fail);
