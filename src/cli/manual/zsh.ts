import type { CompletedCommand, CompletedOption } from './completion.ts';

/** A script that completes command lines of Wayward in zsh: `_wayward` in a folder of `$fpath`. */
export function zshCompletion(commands: readonly CompletedCommand[]): string {
  return `#compdef wayward
# Completion of wayward for zsh, made by "wayward completion zsh".
_wayward() {
  local curcontext=$curcontext state line
  typeset -A opt_args
  _arguments -C '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      local -a commands=(
${commands.map(({ name, summary }) => `        ${quote(`${name}:${summary}`)}`).join('\n')}
      )
      _describe command commands
      ;;
    argument)
      case $words[1] in
${commands.map(commandCase).join('\n')}
      esac
      ;;
  esac
}

if [[ $funcstack[1] == _wayward ]]; then
  _wayward "$@"
else
  compdef _wayward wayward
fi
`;
}

function commandCase({ name, options, firstWords }: CompletedCommand): string {
  const first = firstWords.length === 0 ? [] : [quote(`1:word:(${firstWords.join(' ')})`)];
  const parts = [...options.flatMap(optionSpecs), ...first, quote('*:file:_files')];
  const lines = parts.map((part) => `            ${part}`).join(' \\\n');
  return `        ${name})\n          _arguments -s -S : \\\n${lines}\n          ;;`;
}

/** One specification a flag, those of one option excluding each other unless it may be given again. */
function optionSpecs({
  letters,
  words,
  help,
  value,
  valueName,
  repeats,
}: CompletedOption): string[] {
  const flags = [...letters.map((letter) => `-${letter}`), `--${words[0] ?? ''}`];
  const others = repeats ? '*' : flags.length > 1 ? `(${flags.join(' ')})` : '';
  const shown = help.replace(/[\\:[\]]/g, '\\$&');
  const action = {
    none: () => '',
    words: () => `:${valueName}:(${value.kind === 'words' ? value.words.join(' ') : ''})`,
    folder: () => `:${valueName}:_files -/`,
    file: () => `:${valueName}:_files`,
    text: () => `:${valueName}: `,
  }[value.kind]();
  return flags.map((flag) => {
    // "+": the value may follow in the same word; "=": behind an equals sign, too.
    const joined = value.kind === 'none' ? '' : flag.startsWith('--') ? '=' : '+';
    return quote(`${others}${flag}${joined}[${shown}]${action}`);
  });
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
