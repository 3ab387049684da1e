import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { assert, UserError } from '../../base/errors.ts';
import { logLevels } from '../../base/log.ts';
import { choice, nearest } from '../../base/option.ts';
import type { OptionSpec } from './option.ts';
import { writeOut } from './output.ts';
import { printable } from './paint.ts';
import { openTerminal, type Terminal } from './terminal.ts';

/** What a command gets: its arguments and options, all checked, and where to tell what it does. */
export interface Invocation<Options> {
  readonly args: readonly string[];
  readonly options: Options;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  /** Prints one line of the result on standard output, and comes back once it is written. */
  readonly print: (line: string) => void;
}

export interface CommandSpec<Options> {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** Defaults of options, by name, that an alias has of its own. */
  readonly aliasDefaults?: Readonly<Record<string, Partial<Options>>>;
  readonly group: string;
  readonly summary: string;
  /** As commander takes them: `<root>`, `[sample...]`. */
  readonly args: readonly (readonly [syntax: string, help: string])[];
  readonly options: readonly OptionSpec[];
  /** Shell lines and what they do, shown at the end of the help text. */
  readonly examples: readonly (readonly [line: string, what: string])[];
  /** @returns the exit code; nothing means 0 */
  readonly run: (invocation: Invocation<Options>) => Promise<number | undefined>;
}

/** Options that every command has. */
const shared: readonly OptionSpec[] = [
  { flags: '--json', help: 'print one JSON document with schemaVersion' },
];

/** `-l` takes a number or a name. */
function parseLogLevel(value: string): { readonly value: number } | { readonly problem: string } {
  const number = Number(value);
  if (Number.isInteger(number) && number >= 10 && number <= 50) return { value: number };
  const named = choice(...(Object.keys(logLevels) as (keyof typeof logLevels)[]))(value);
  if ('value' in named) return { value: logLevels[named.value] };
  return { problem: `takes 10 to 50, or ${Object.keys(logLevels).join(', ')}` };
}

const common: readonly OptionSpec[] = [
  {
    flags: '-l, --log-level <level>',
    help: '10 debug, 20 info, 30 warning, 40 error, 50 critical, or a name',
    parse: parseLogLevel,
    default: 20,
  },
  {
    flags: '--status-interval <minutes>',
    help: 'time between status lines where there is no terminal',
    parse: (value) => {
      const minutes = Number(value);
      return value !== '' && minutes > 0 && Number.isFinite(minutes)
        ? { value: minutes }
        : { problem: 'takes a number of minutes above 0' };
    },
    default: 0.25,
  },
];

/**
 * Turns a specification into a commander command. An option's value comes from its flag, else
 * `WAYWARD_<NAME>`, else `wayward.config.json`, else its default. Everything that is wrong with
 * the options is reported in one error.
 */
export function defineCommand<Options>(spec: CommandSpec<Options>): Command {
  const command = new Command(spec.name);
  for (const alias of spec.aliases ?? []) command.alias(alias);
  command.summary(spec.summary).description(`${spec.summary}.`).helpGroup(spec.group);
  for (const [syntax, help] of spec.args) command.argument(syntax, help);
  const specs = [...spec.options, ...shared, ...common];
  const byKey = new Map<string, OptionSpec>();
  for (const option of specs) {
    const made = new Option(option.flags, describe(option));
    if (option.group !== undefined) made.helpGroup(option.group);
    command.addOption(made);
    byKey.set(made.attributeName(), option);
    // Every occurrence is kept as text and read later, so that all problems come out together.
    if (!made.isBoolean() && !made.negate)
      made.argParser((value, before) => [...((before as string[]) ?? []), value]);
  }
  command.allowUnknownOption().allowExcessArguments();
  command.addHelpText('after', () => `\nExamples:\n${formatExamples(spec.examples)}\n`);
  command.action(async (..._ignored: unknown[]) => {
    const { args, options, level, statusSeconds } = settle(command, spec, byKey);
    const terminal = openTerminal(level, statusSeconds);
    const stop = new AbortController();
    const interrupt = (): void => {
      if (stop.signal.aborted) process.exit(4);
      terminal.log(
        'warning',
        'stopping after the current batch; press Ctrl-C again to stop at once',
      );
      stop.abort();
    };
    process.on('SIGINT', interrupt);
    process.on('SIGTERM', interrupt);
    try {
      const code = await spec.run({
        args,
        options: options as Options,
        terminal,
        signal: stop.signal,
        print: (line) => {
          terminal.finish();
          writeOut(`${printable(line)}\n`);
        },
      });
      process.exitCode = code ?? 0;
    } catch (error) {
      if (!stop.signal.aborted || error instanceof UserError) throw error;
      throw new UserError('interrupted', 'stopped', { category: 'interrupted', cause: error });
    } finally {
      terminal.finish();
      process.off('SIGINT', interrupt);
      process.off('SIGTERM', interrupt);
    }
  });
  return command;
}

interface Settled {
  readonly args: readonly string[];
  readonly options: Record<string, unknown>;
  readonly level: number;
  readonly statusSeconds: number;
}

function settle<Options>(
  command: Command,
  spec: CommandSpec<Options>,
  byKey: ReadonlyMap<string, OptionSpec>,
): Settled {
  const problems: string[] = [];
  const config = readConfig(problems);
  const section = (config[spec.name] ?? {}) as Record<string, unknown>;
  const words = (command.parent as { rawArgs?: readonly string[] } | null)?.rawArgs ?? [];
  const name = words.find((word) => word === spec.name || spec.aliases?.includes(word)) ?? '';
  const own: Readonly<Record<string, unknown>> = spec.aliasDefaults?.[name] ?? {};
  const options: Record<string, unknown> = {};
  for (const made of command.options) {
    const key = made.attributeName();
    const option = byKey.get(key);
    assert(option !== undefined, `every option of ${spec.name} has a specification`);
    const said = whatWasSaid(command, made, section[key] ?? config[key]);
    options[key] =
      said === undefined ? (own[key] ?? option.default) : readSaid(said, made, option, problems);
  }
  const args = argumentsOf(command, spec, words, problems);
  if (problems.length > 0) {
    throw new UserError('bad-options', problems.join('\n'), { category: 'arguments' });
  }
  return {
    args,
    options,
    level: options.logLevel as number,
    statusSeconds: 60 * (options.statusInterval as number),
  };
}

/** What somebody said of an option, and where. */
interface Said {
  readonly raw: unknown;
  readonly source: string;
}

/** The flag, else the environment, else the config file. */
function whatWasSaid(command: Command, made: Option, configured: unknown): Said | undefined {
  const key = made.attributeName();
  const variable = `WAYWARD_${key.replace(/[A-Z]/g, '_$&').toUpperCase()}`;
  // Commander gives `--no-...` options a default of its own, `true`.
  const isGiven = command.getOptionValueSource(key) !== 'default';
  const places: readonly Said[] = [
    {
      source: made.long ?? made.flags,
      raw: isGiven ? (command.getOptionValue(key) as unknown) : undefined,
    },
    { source: variable, raw: process.env[variable] },
    { source: `wayward.config.json: ${key}`, raw: configured },
  ];
  return places.find(({ raw }) => raw !== undefined);
}

/** @param problems  gets what is wrong with it */
function readSaid(
  { raw, source }: Said,
  made: Option,
  option: OptionSpec,
  problems: string[],
): unknown {
  if (made.isBoolean() || made.negate)
    return raw === true || /^(1|true|yes|on)$/i.test(String(raw));
  const texts = (Array.isArray(raw) ? raw : [raw]).map(String);
  const values = texts.map((value) => {
    const result = option.parse === undefined ? { value } : option.parse(value);
    if ('problem' in result) {
      const shown = option.isSecret ? '' : `, not "${shorten(value)}"`;
      problems.push(`${source} ${result.problem}${shown}`);
    }
    return 'value' in result ? result.value : undefined;
  });
  return option.repeats ? values : values.at(-1);
}

/** @param words  of the whole command line; @param problems  gets what is wrong with them */
function argumentsOf(
  command: Command,
  { args: places }: Pick<CommandSpec<unknown>, 'args'>,
  words: readonly string[],
  problems: string[],
): readonly string[] {
  // What stands behind "--" is never an option of ours.
  const behind = words.includes('--') ? words.length - words.indexOf('--') - 1 : 0;
  const args = command.args.filter((word, index) => {
    if (index >= command.args.length - behind || !/^--?[a-zA-Z]/.test(word)) return true;
    const flag = word.replace(/=.*/, '');
    const near = nearest(
      flag,
      command.options.flatMap(({ long }) => long ?? []),
    );
    problems.push(`there is no option ${flag}${near ? `; did you mean ${near}?` : ''}`);
    return false;
  });
  const most = places.some(([syntax]) => syntax.includes('...')) ? Infinity : places.length;
  if (problems.length === 0 && args.length > most) {
    problems.push(`there is no place for "${shorten(args[most] ?? '')}"`);
  }
  return args;
}

function readConfig(problems: string[]): Record<string, unknown> {
  let source: string;
  try {
    source = readFileSync('wayward.config.json', 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      problems.push(`wayward.config.json cannot be read: ${(error as Error).message}`);
    }
    return {};
  }
  try {
    const value: unknown = JSON.parse(source);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
    problems.push('wayward.config.json must hold one JSON object');
  } catch (error) {
    problems.push(`wayward.config.json is no JSON: ${(error as Error).message}`);
  }
  return {};
}

function describe(option: OptionSpec): string {
  const { default: value, shown = value } = option;
  const said = Array.isArray(shown) ? shown.join(',') : String(shown ?? '');
  return said === '' || shown === false ? option.help : `${option.help} [${said}]`;
}

function formatExamples(examples: CommandSpec<unknown>['examples']): string {
  return examples.map(([line, what]) => `  ${line}\n      ${what}`).join('\n');
}

function shorten(value: string): string {
  return value.length > 60 ? `${value.slice(0, 57)}...` : value;
}
