import type { CompletedCommand, CompletedOption } from './completion.ts';

/** A script that completes command lines of Wayward in fish: `wayward.fish` in its completions. */
export function fishCompletion(commands: readonly CompletedCommand[]): string {
  return `${[
    '# Completion of wayward for fish, made by "wayward completion fish".',
    'complete -c wayward -f',
    ...commands.map(
      ({ name, summary }) =>
        `complete -c wayward -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`,
    ),
    ...commands.flatMap(linesFor),
  ].join('\n')}\n`;
}

function linesFor({ name, options, firstWords }: CompletedCommand): string[] {
  const start = `complete -c wayward -n '__fish_seen_subcommand_from ${name}'`;
  const first =
    firstWords.length === 0 ? `${start} -F` : `${start} -a ${quote(firstWords.join(' '))}`;
  return [first, ...options.map((option) => `${start} ${optionWords(option)}`)];
}

function optionWords({ letters, words, help, value }: CompletedOption): string {
  const flags = [...letters.map((letter) => `-s ${letter}`), `-l ${words[0] ?? ''}`];
  return [...flags, ...valueWords(value), `-d ${quote(help)}`].join(' ');
}

function valueWords(value: CompletedOption['value']): string[] {
  switch (value.kind) {
    case 'none':
      return [];
    case 'words':
      return ['-x', '-a', quote(value.words.join(' '))];
    case 'folder':
      return ['-x', '-a', "'(__fish_complete_directories)'"];
    case 'file':
      return ['-r', '-F'];
    case 'text':
      return ['-x'];
  }
}

function quote(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
