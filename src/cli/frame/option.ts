import { assert } from '../../base/errors.ts';
import type { Parse } from '../../base/option.ts';
import { type AnyOption, type Given, optionsOf, putAt } from '../../base/option-table.ts';

/** One option of a command, as the command line knows it. */
export interface OptionSpec {
  /** As commander takes them: `-s, --sequence-len <n>`. */
  readonly flags: string;
  readonly help: string;
  readonly parse?: Parse<unknown>;
  /** Heading in the help text. */
  readonly group?: string;
  /** Shown in the help text and used when nothing else sets the option. */
  readonly default?: unknown;
  /** Shown in the help text instead of the default. */
  readonly shown?: string;
  /** Collects every occurrence into a list. */
  readonly repeats?: boolean;
  /** What was given is not repeated in messages. */
  readonly isSecret?: boolean;
}

/** An option of a library call as the command line has it. What follows from other options is left to the call. */
export function specOf(option: AnyOption): OptionSpec {
  const { flags, default: value, ...rest } = option;
  assert(flags !== undefined, 'only what has flags stands on a command line');
  return typeof value === 'function' ? { ...rest, flags } : { ...rest, flags, default: value };
}

/** All options of a table that have flags, in its order. */
export function specsOf(table: object): readonly OptionSpec[] {
  return optionsOf(table).flatMap(([, option]) =>
    option.flags === undefined ? [] : [specOf(option)],
  );
}

/** The name under which the command line keeps what was said: `sequenceLen` of `-s, --sequence-len <n>`. */
export function wordOf(flags: string): string {
  const [, long = ''] = /--([a-z0-9-]+)/.exec(flags) ?? [];
  return long.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** What the command line says of the options of a table, as `settle` takes it. */
export function givenOf<Table extends object>(
  table: Table,
  words: Readonly<Record<string, unknown>>,
): Given<Table> {
  const given: Record<string, unknown> = {};
  for (const [key, { flags }] of optionsOf(table)) {
    if (flags !== undefined) putAt(given, key, words[wordOf(flags)]);
  }
  return given as Given<Table>;
}
