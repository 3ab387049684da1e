import { UserError } from '../base/errors.ts';
import { nearest } from '../base/options/option.ts';
import { shorten } from '../base/text/format.ts';
import { version } from '../base/version.ts';
import { commands } from './commands.ts';
import type { CommandEntry } from './frame/command.ts';
import { readCommandLine } from './frame/command-line.ts';
import { grammarOf } from './frame/grammar.ts';
import { commandList, helpText } from './frame/help.ts';
import { invoke } from './frame/invoke.ts';
import { helpWidth, writeOut } from './frame/output.ts';

const overview = `Wayward ${version} finds the runs in which a program strayed from its normal control flow.

  wayward demo                     from recordings to a report, in seconds
  wayward record -- PROGRAM ...    record a run without special hardware
  wayward learn ROOT               learn the normal control flow from harmless runs
  wayward judge PROFILE NEW        a verdict for each new recording
  wayward report RUN               one HTML page of all of it
  wayward inspect SAMPLE           what is in a trace
  wayward doctor                   what this machine can do

ROOT holds one folder a sample. "wayward help COMMAND" explains each command with examples;
"wayward help" lists them all.
`;

/** Runs one command line. @throws what the command throws */
export async function runCommand(words: readonly string[]): Promise<void> {
  const [name, ...rest] = words;
  if (name === undefined) return writeOut(overview);
  if (name === '-V' || name === '--version') return writeOut(`${version}\n`);
  if (['-h', '--help', '--help-all'].includes(name))
    return writeOut(commandList(commands, helpWidth()));
  const entry = entryOf(name);
  const command = await entry.load();
  const grammar = grammarOf(entry, command, name);
  const line = readCommandLine(grammar, rest);
  if (line.asks === 'version') return writeOut(`${version}\n`);
  if (line.asks !== undefined) {
    return writeOut(helpText(grammar, command, line.asks === 'help-all', helpWidth()));
  }
  await invoke(grammar, command, line, commands);
}

/** @throws UserError `no-command` */
function entryOf(name: string): CommandEntry {
  const names = commands.flatMap((entry) => [entry.name, ...(entry.aliases ?? [])]);
  const found = commands.find((entry) => entry.name === name || entry.aliases?.includes(name));
  if (found !== undefined) return found;
  const near = nearest(name, names);
  const advice = name.startsWith('-')
    ? 'the command comes first: wayward COMMAND [options]'
    : near === undefined
      ? '"wayward help" lists them all'
      : `did you mean ${near}?`;
  throw new UserError('no-command', `there is no command ${shorten(name)}; ${advice}`, {
    category: 'arguments',
  });
}
