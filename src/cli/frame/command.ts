import type { OptionSpec } from './option.ts';
import type { Terminal } from './terminal.ts';

/** What a command gets: its arguments and options, all checked, and where to tell what it does. */
export interface Invocation<Options> {
  readonly args: readonly string[];
  readonly options: Options;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  /**
   * Prints one line of the result on standard output, and comes back once it is written. It stays one: a line break
   * in a name would forge the next.
   */
  readonly print: (line: string) => void;
  /** As `print`, for a document that holds its lines itself: names in it are escaped already. */
  readonly printText: (text: string) => void;
  /** Every command there is, for those that write about commands. */
  readonly commands: readonly CommandEntry[];
}

/** A command as the list of commands has it: enough to find it, and to say what it is for. */
export interface CommandEntry {
  readonly name: string;
  /** Names of the ancestor's scripts; what is different under them, `CommandSpec.ancestor` says. */
  readonly aliases?: readonly string[];
  readonly group: string;
  readonly summary: string;
  /** Only what runs is loaded. */
  readonly load: () => Promise<Command>;
}

export interface LoadedCommand extends Omit<CommandEntry, 'load'> {
  readonly command: Command;
}

/** Loads everything that commands are made of, which takes long. */
export function loadAll(entries: readonly CommandEntry[]): Promise<readonly LoadedCommand[]> {
  return Promise.all(entries.map(async (entry) => ({ ...entry, command: await entry.load() })));
}

/**
 * What a command line means under the name of one of the ancestor's scripts. Letters and words of
 * the ancestor stand for options of ours; the rest of our options are there as well.
 */
export interface AncestorName {
  /** `lstm.py`. */
  readonly script: string;
  /** Defaults that differ, by key. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** The word of ours that each letter stands for. */
  readonly letters?: Readonly<Record<string, string>>;
  /** The word of ours that each word of the ancestor stands for. */
  readonly words?: Readonly<Record<string, string>>;
  /** Words and letters that have nothing to do here: they are passed over with these sentences. */
  readonly moot?: Readonly<Record<string, Moot>>;
  /** Arguments that only this name takes, behind those of the command. */
  readonly args?: readonly Argument[];
}

/** A flag of the ancestor that has nothing to do here. */
export interface Moot {
  readonly takesValue: boolean;
  readonly letter?: string;
  /** Why, and what to do instead. */
  readonly advice: string;
}

/** `<root>` is needed, `[root]` may be left out, `...` takes all that follow. */
export type Argument = readonly [syntax: string, help: string];

export interface CommandSpec<Options> {
  readonly args: readonly Argument[];
  /** Words that the first argument takes, where it takes nothing else: for completion. */
  readonly firstWords?: readonly string[];
  readonly options: readonly OptionSpec[];
  /** Words of the dozen options that people use, where there are many more: `--help` shows these. */
  readonly usual?: readonly string[];
  /** By name: those of the entry's aliases, and the command's own name if the ancestor had it, too. */
  readonly ancestor?: Readonly<Record<string, AncestorName>>;
  /** Shell lines and what they do, shown at the end of the help text. */
  readonly examples: readonly (readonly [line: string, what: string])[];
  /** @returns the exit code; nothing means 0 */
  readonly run: (invocation: Invocation<Options>) => Promise<number | undefined>;
}

/** A command of whose options no more is known than that its own table has settled them. */
export type Command = CommandSpec<never>;

/** Holds `run` of a command to the options that its table settles. */
export function defineCommand<Options>(spec: CommandSpec<Options>): Command {
  return spec;
}
