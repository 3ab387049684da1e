import type { CompletedCommand, CompletedOption } from './completion.ts';

/** A script that completes command lines of Wayward in bash (4 or newer). */
export function bashCompletion(commands: readonly CompletedCommand[]): string {
  return `# Completion of wayward for bash, made by "wayward completion bash".
_wayward_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

_wayward() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]}
  local command=\${COMP_WORDS[1]} word
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W '${commands.map(({ name }) => name).join(' ')}' -- "$current")
    return
  fi
  # What stands behind "--" is no option of ours.
  for word in "\${COMP_WORDS[@]:2:COMP_CWORD-2}"; do
    if [[ $word == -- ]]; then
      _wayward_files -f "$current"
      return
    fi
  done
  # Bash makes words of their own of equals signs: --out = FILE.
  if [[ $current == = ]]; then
    current=
  elif [[ $before == = ]]; then
    before=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  case $command:$before in
${commands.flatMap(valueCases).join('\n')}
  esac
  if [[ $current == -* ]]; then
    case $command in
${commands.map(optionCase).join('\n')}
    esac
    mapfile -t COMPREPLY < <(compgen -W "$word" -- "$current")
    return
  fi
  case $command in
${commands.flatMap(firstWordCase).join('\n')}
    *) _wayward_files -f "$current" ;;
  esac
}

complete -F _wayward wayward
`;
}

/** What stands behind each option of a command, those that take the same together. */
function valueCases({ name, options }: CompletedCommand): string[] {
  const actions = new Map<string, string[]>();
  for (const option of options) {
    const action = actionFor(option);
    if (action === undefined) continue;
    const flags = flagsOf(option).map((flag) => `${name}:${flag}`);
    actions.set(action, [...(actions.get(action) ?? []), ...flags]);
  }
  return [...actions].map(([action, flags]) => `    ${flags.join('|')}) ${action} return ;;`);
}

function actionFor({ value }: CompletedOption): string | undefined {
  switch (value.kind) {
    case 'none':
      return undefined;
    case 'words':
      return `mapfile -t COMPREPLY < <(compgen -W '${value.words.join(' ')}' -- "$current");`;
    case 'folder':
      return '_wayward_files -d "$current";';
    case 'file':
      return '_wayward_files -f "$current";';
    case 'text':
      return '';
  }
}

function optionCase({ name, options }: CompletedCommand): string {
  const flags = options.map(({ words }) => `--${words[0] ?? ''}`);
  return `      ${name}) word='${flags.join(' ')}' ;;`;
}

function firstWordCase({ name, firstWords }: CompletedCommand): string[] {
  if (firstWords.length === 0) return [];
  const words = firstWords.join(' ');
  return [`    ${name}) mapfile -t COMPREPLY < <(compgen -W '${words}' -- "$current") ;;`];
}

function flagsOf({ letters, words }: CompletedOption): string[] {
  return [...letters.map((letter) => `-${letter}`), ...words.map((word) => `--${word}`)];
}
