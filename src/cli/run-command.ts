import { Command } from 'commander';
import { version } from '../base/version.ts';
import { commands } from './commands.ts';

const overview = `Wayward ${version} finds the runs in which a program strayed from its normal control flow.

  npm run demo                     from recordings to a report, in seconds
  wayward record -- PROGRAM ...    record a run without special hardware
  wayward learn ROOT               learn the normal control flow from harmless runs
  wayward judge RUN NEW            a verdict for each new recording
  wayward report RUN               one HTML page of all of it
  wayward inspect SAMPLE           what is in a trace
  wayward doctor                   what this machine can do

ROOT holds one folder a sample. "wayward help COMMAND" explains each command with examples;
"wayward help" lists them all.`;

/** Runs one command line. @throws what the command throws, and CommanderError */
export async function runCommand(words: readonly string[]): Promise<void> {
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
