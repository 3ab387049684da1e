import { wrap } from '../../base/text/format.ts';
import type { Command, CommandEntry } from './command.ts';
import type { Grammar } from './grammar.ts';
import { defaultOf, flagsOf, type OptionSpec } from './option.ts';

/** Columns of the names before what they mean; longer ones get a line of their own. */
const nameColumns = 30;

/**
 * What `wayward COMMAND --help` prints: usage, arguments, options, examples.
 *
 * @param isWhole  shows every option, not only those that people use
 * @param width  columns of the terminal
 */
export function helpText(
  grammar: Grammar,
  command: Command,
  isWhole: boolean,
  width: number,
): string {
  const { entry, name } = grammar;
  const shown = isWhole ? grammar.options : usualOptions(grammar, command);
  const hidden = grammar.options.length - shown.length;
  return [
    `Usage: ${usageOf(grammar)}`,
    '',
    wrap(`${entry.summary}.`, width),
    ...aliasLine(grammar),
    ...section(
      'Arguments:',
      grammar.args.map(([syntax, help]) => [syntax, help]),
      width,
    ),
    ...groupsOf(shown).flatMap(([heading, options]) =>
      section(
        heading,
        options.map((option) => [flagsText(grammar, option), describeOption(option, isWhole)]),
        width,
      ),
    ),
    ...(hidden === 0 ? [] : ['', `${hidden} more options: wayward ${name} --help-all`]),
    '',
    'Examples:',
    ...command.examples.map(([line, what]) => `  ${line}\n      ${what}`),
    '',
  ].join('\n');
}

/** `wayward judge [options] <profile> <sample...>` */
export function usageOf({ name, args, takesProgram }: Grammar): string {
  const places = args.map(([syntax]) =>
    takesProgram && syntax.includes('program') ? `-- ${syntax}` : syntax,
  );
  return ['wayward', name, '[options]', ...places].join(' ');
}

/** The options that `--help` shows, in the order of the table. */
export function usualOptions({ options }: Grammar, { usual }: Command): readonly OptionSpec[] {
  if (usual === undefined) return options;
  return options.filter((option) => {
    const { word } = flagsOf(option);
    return usual.includes(word) || word === 'json';
  });
}

/** Options under their headings, in the order in which these come up. */
export function groupsOf(
  options: readonly OptionSpec[],
): readonly (readonly [heading: string, options: readonly OptionSpec[]])[] {
  const groups = new Map<string, OptionSpec[]>();
  for (const option of options) {
    const heading = option.group ?? 'Options:';
    groups.set(heading, [...(groups.get(heading) ?? []), option]);
  }
  return [...groups];
}

/** `-t, --timeout <seconds>`, with the letter that stands for it under the name that was typed. */
export function flagsText({ byLetter }: Grammar, option: OptionSpec): string {
  const { word, value } = flagsOf(option);
  const letters = [...byLetter].filter(([, meant]) => meant === option).map(([letter]) => letter);
  const before = letters.length === 0 ? '    ' : `${letters.map((l) => `-${l}`).join(', ')}, `;
  return `${before}--${word}${value === undefined ? '' : ` <${value}>`}`;
}

/** What it does, its default, and, in the whole help text, its other words. */
export function describeOption(option: OptionSpec, withSynonyms: boolean): string {
  const value = option.default ?? defaultOf(option);
  const shown = option.shown ?? (typeof value === 'boolean' ? undefined : value);
  const said = Array.isArray(shown) ? shown.join(',') : String(shown ?? '');
  const other = withSynonyms ? (option.synonyms ?? []).map((word) => `--${word}`) : [];
  return [
    option.help,
    ...(said === '' ? [] : [`[${said}]`]),
    ...(other.length === 0 ? [] : [`(also ${other.join(', ')})`]),
  ].join(' ');
}

/** The list that `wayward help` prints. */
export function commandList(entries: readonly Omit<CommandEntry, 'load'>[], width: number): string {
  const groups = new Map<string, (readonly [string, string])[]>();
  for (const { name, aliases = [], group, summary } of entries) {
    const also = aliases.length === 0 ? '' : ` (also ${aliases.join(', ')})`;
    groups.set(group, [...(groups.get(group) ?? []), [name, `${summary}${also}`]]);
  }
  return [
    'Usage: wayward COMMAND [options] ...',
    ...[...groups].flatMap(([heading, rows]) => section(`${heading}:`, rows, width, 14)),
    '',
  ].join('\n');
}

function aliasLine({ entry, name, ancestor }: Grammar): string[] {
  if (ancestor !== undefined && name !== entry.name)
    return ['', `The same as "wayward ${entry.name}", with the letters of ${ancestor.script}.`];
  return [];
}

/** A heading, and below it names with what they mean. */
function section(
  heading: string,
  rows: readonly (readonly [name: string, meaning: string])[],
  width: number,
  columns: number = nameColumns,
): string[] {
  if (rows.length === 0) return [];
  const margin = ' '.repeat(columns);
  const lines = rows.flatMap(([name, meaning]) => {
    const [first = '', ...rest] = wrap(meaning, Math.max(20, width - columns)).split('\n');
    const start = `  ${name}`;
    const head =
      start.length < columns - 1 ? [start.padEnd(columns) + first] : [start, margin + first];
    return [...head, ...rest.map((line) => margin + line)];
  });
  return ['', heading, ...lines];
}
