import { assert } from '../../base/errors.ts';
import type { Parse } from '../../base/options/option.ts';
import { type AnyOption, type Given, optionsOf, putAt } from '../../base/options/option-table.ts';

/** One option of a command, as the command line knows it. */
export interface OptionSpec {
  /** `-s, --sequence-len <n>`; without `<...>` it takes no value; `--no-...` turns off what is on. */
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
  /** Other words for it, without dashes: `output` for `--out`. */
  readonly synonyms?: readonly string[];
}

/** The parts of an option's flags. */
export interface Flags {
  /** `s` of `-s, --sequence-len <n>`. */
  readonly letter: string | undefined;
  /** `sequence-len`; `no-partial` of `--no-partial`. */
  readonly word: string;
  /** Under which it is settled: `sequenceLen`; `partial` of `--no-partial`. */
  readonly key: string;
  /** `n`; `undefined` for a flag that takes no value. */
  readonly value: string | undefined;
  readonly isNegated: boolean;
}

export function flagsOf({ flags }: Pick<OptionSpec, 'flags'>): Flags {
  const parts = /^(?:-([a-zA-Z]), )?--([a-z0-9][a-z0-9-]*)(?: <([^>]+)>)?$/.exec(flags);
  assert(parts !== null, `"${flags}" are the flags of an option`);
  const [, letter, word = '', value] = parts;
  const isNegated = word.startsWith('no-');
  return { letter, word, value, isNegated, key: keyOf(isNegated ? word.slice(3) : word) };
}

/** `sequenceLen` for `sequence-len`. */
function keyOf(word: string): string {
  return word.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** `WAYWARD_SEQUENCE_LEN` for `sequenceLen`. */
export function variableOf(key: string): string {
  return `WAYWARD_${key.replace(/[A-Z]/g, '_$&').toUpperCase()}`;
}

/** What holds where nobody says anything; a flag without a value is off, one that turns off is not given. */
export function defaultOf(option: OptionSpec): unknown {
  const { value, isNegated } = flagsOf(option);
  return option.default ?? (value === undefined ? isNegated : undefined);
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

/** What the command line says of the options of a table, as `settle` takes it. */
export function givenOf<Table extends object>(
  table: Table,
  words: Readonly<Record<string, unknown>>,
): Given<Table> {
  const given: Record<string, unknown> = {};
  for (const [key, { flags }] of optionsOf(table)) {
    if (flags !== undefined) putAt(given, key, words[flagsOf({ flags }).key]);
  }
  return given as Given<Table>;
}
