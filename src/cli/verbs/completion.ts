import { UserError } from '../../base/errors.ts';
import { shorten } from '../../base/text/format.ts';
import { type Command, type CommandSpec, defineCommand, loadAll } from '../frame/command.ts';
import { bashCompletion } from '../manual/bash.ts';
import { type CompletedCommand, completionOf } from '../manual/completion.ts';
import { fishCompletion } from '../manual/fish.ts';
import { zshCompletion } from '../manual/zsh.ts';

const shells: Readonly<Record<string, (commands: readonly CompletedCommand[]) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

const spec: CommandSpec<object> = {
  args: [['<shell>', Object.keys(shells).join(', ')]],
  firstWords: Object.keys(shells),
  options: [],
  examples: [
    [
      'wayward completion bash > ~/.local/share/bash-completion/completions/wayward',
      'for bash, from the next shell on',
    ],
    ['wayward completion zsh > ~/.zfunc/_wayward', 'for zsh, where ~/.zfunc is in $fpath'],
    ['wayward completion fish > ~/.config/fish/completions/wayward.fish', 'for fish'],
  ],
  run: async ({ args: [shell = ''], commands, printText }) => {
    const script = Object.hasOwn(shells, shell) ? shells[shell] : undefined;
    if (script === undefined) {
      const known = Object.keys(shells).join(', ');
      throw new UserError('no-shell', `there is completion for ${known}, not "${shorten(shell)}"`, {
        category: 'arguments',
      });
    }
    printText(script(completionOf(await loadAll(commands))).trimEnd());
    return 0;
  },
};

export const completionCommand: Command = defineCommand(spec);
