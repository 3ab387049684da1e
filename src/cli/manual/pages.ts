import type { CommandEntry, LoadedCommand } from '../frame/command.ts';
import { grammarOf } from '../frame/grammar.ts';
import { describeOption, flagsText, groupsOf, usageOf } from '../frame/help.ts';
import { exitCodeRows, topics } from '../frame/topics.ts';

/** A manual page for man(1). */
export interface ManualPage {
  /** `wayward-judge.1`. */
  readonly file: string;
  /** In the language of man(7). */
  readonly source: string;
}

/** One page a command, and `wayward.1` above them. */
export function manualPages(
  commands: readonly LoadedCommand[],
  version: string,
): readonly ManualPage[] {
  return [overviewPage(commands, version), ...commands.map((entry) => commandPage(entry, version))];
}

/** Names of the files of all pages, without making them. */
export function manualFiles(entries: readonly CommandEntry[]): readonly string[] {
  return ['wayward.1', ...entries.map(({ name }) => `wayward-${name}.1`)];
}

function overviewPage(commands: readonly LoadedCommand[], version: string): ManualPage {
  const settings = topics.find(({ name }) => name === 'settings')?.text ?? '';
  return page('wayward', version, 'finds the runs in which a program strayed', [
    heading('SYNOPSIS'),
    bold('wayward COMMAND [options] ...'),
    heading('DESCRIPTION'),
    plain(
      "Learns a program's normal control flow from recordings of harmless runs (Intel Processor Trace, recorded by the processor, or in software under qemu-user) and finds the runs in which it strayed, as under an exploit, with a false-positive rate that the user chose.",
    ),
    heading('COMMANDS'),
    ...commands.map(({ name, summary }) => tagged(`wayward-${name}(1)`, summary)),
    heading('SETTINGS'),
    literal(settings),
    heading('EXIT STATUS'),
    ...exitCodeRows.map(([code, meaning]) => tagged(String(code), meaning)),
  ]);
}

function commandPage(entry: LoadedCommand, version: string): ManualPage {
  const { command } = entry;
  const grammar = grammarOf(entry, command);
  const aliases = entry.aliases ?? [];
  return page(`wayward-${entry.name}`, version, lowerFirst(entry.summary), [
    heading('SYNOPSIS'),
    bold(usageOf(grammar)),
    heading('DESCRIPTION'),
    plain(`${entry.summary}.`),
    ...(aliases.length === 0
      ? []
      : [
          '.PP',
          plain(`Names of older tools, under which their flags hold: ${aliases.join(', ')}.`),
        ]),
    ...(grammar.args.length === 0 ? [] : [heading('ARGUMENTS')]),
    ...grammar.args.map(([syntax, help]) => tagged(syntax, help)),
    heading('OPTIONS'),
    ...groupsOf(grammar.options).flatMap(([group, options]) => [
      `.SS ${roff(group.replace(/:$/, ''))}`,
      ...options.map((option) =>
        tagged(flagsText(grammar, option).trim(), describeOption(option, true)),
      ),
    ]),
    heading('EXAMPLES'),
    ...command.examples.map(([line, what]) => tagged(line, what)),
    heading('SEE ALSO'),
    plain('wayward(1), for exit codes, environment and wayward.config.json'),
  ]);
}

function page(name: string, version: string, what: string, parts: readonly string[]): ManualPage {
  const source = [
    `.\\" Made from the help texts of Wayward ${version}.`,
    `.TH ${name.toUpperCase().replaceAll('-', '\\-')} 1 "" "Wayward ${version}" "Wayward"`,
    heading('NAME'),
    `${roff(name)} \\- ${roff(what)}`,
    ...parts,
  ];
  return { file: `${name}.1`, source: `${source.join('\n')}\n` };
}

function heading(text: string): string {
  return `.SH ${text}`;
}

function bold(text: string): string {
  return `\\fB${roff(text)}\\fP`;
}

function plain(text: string): string {
  return roff(text);
}

/** A word, and what it means indented below. */
function tagged(word: string, meaning: string): string {
  return `.TP\n${bold(word)}\n${roff(meaning)}`;
}

/** Lines as they are. */
function literal(text: string): string {
  return `.nf\n${text.split('\n').map(roff).join('\n')}\n.fi`;
}

/** Text that holds no request: backslashes, hyphens as typed, and a control character at the beginning. */
function roff(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replace(/^[.']/, '\\&$&');
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
