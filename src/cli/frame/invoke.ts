import { UserError } from '../../base/errors.ts';
import { type Command, type CommandEntry, loadAll } from './command.ts';
import type { CommandLine } from './command-line.ts';
import { type CommonOptions, levelOf } from './common-options.ts';
import { problemsOfOthers, readConfig } from './config-file.ts';
import type { Grammar } from './grammar.ts';
import { writeOut } from './output.ts';
import { printable, printableLine } from './paint.ts';
import { settleOptions } from './settings.ts';
import { openTerminal, type Terminal } from './terminal.ts';

/**
 * Runs a command as its words say, and sets the exit code of the process.
 *
 * @throws UserError `bad-options` with everything that is wrong with the words, a line each; and
 *   what the command throws
 */
export async function invoke(
  grammar: Grammar,
  command: Command,
  line: CommandLine,
  commands: readonly CommandEntry[],
): Promise<void> {
  const { options, level, common } = await settle(grammar, line, commands);
  const terminal = openTerminal({
    minimum: level,
    statusSeconds: 60 * common.statusInterval,
    showsProgress: common.progress,
  });
  for (const note of line.notes) terminal.log('warning', note);
  await interruptible(terminal, async (signal) => {
    const show = (text: string): void => {
      terminal.finish();
      writeOut(`${text}\n`);
    };
    const code = await command.run({
      args: line.args,
      // The command's own table has settled them; `defineCommand` holds `run` to it.
      options: options as never,
      terminal,
      signal,
      commands,
      print: (line) => show(printableLine(line)),
      printText: (text) => show(printable(text)),
    });
    process.exitCode = code ?? 0;
  });
}

interface Settled {
  readonly options: Readonly<Record<string, unknown>>;
  readonly common: CommonOptions;
  readonly level: number;
}

async function settle(
  grammar: Grammar,
  line: CommandLine,
  commands: readonly CommandEntry[],
): Promise<Settled> {
  const problems = [...line.problems];
  const config = readConfig(grammar, problems);
  if (config.others.length > 0)
    problems.push(...problemsOfOthers(config.others, await loadAll(commands)));
  const options = settleOptions(
    grammar.options,
    {
      said: line.said,
      environment: process.env,
      configured: config.values,
      defaults: grammar.ancestor?.defaults ?? {},
    },
    problems,
  );
  // `grammarOf` puts them into every command's table.
  const common = options as unknown as CommonOptions;
  const level = levelOf(common, problems);
  if (problems.length > 0) {
    throw new UserError('bad-options', problems.join('\n'), { category: 'arguments' });
  }
  return { options, common, level };
}

/**
 * The first Ctrl-C asks the work to end in good order, the second ends the process.
 *
 * @throws UserError `interrupted`, and what the work throws
 */
async function interruptible(
  terminal: Terminal,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const interrupt = (): void => {
    if (stop.signal.aborted) process.exit(4);
    terminal.log('warning', 'stopping after the current batch; press Ctrl-C again to stop at once');
    stop.abort();
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    await work(stop.signal);
  } catch (error) {
    if (!stop.signal.aborted || error instanceof UserError) throw error;
    throw new UserError('interrupted', 'stopped', { category: 'interrupted', cause: error });
  } finally {
    terminal.finish();
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}
