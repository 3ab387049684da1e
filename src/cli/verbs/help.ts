import { UserError } from '../../base/errors.ts';
import { nearest } from '../../base/options/option.ts';
import { shorten } from '../../base/text/format.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import { grammarOf } from '../frame/grammar.ts';
import { commandList, helpText } from '../frame/help.ts';
import { helpWidth } from '../frame/output.ts';
import { topics } from '../frame/topics.ts';

interface Options {
  readonly json: boolean;
  readonly all: boolean;
}

const spec: CommandSpec<Options> = {
  args: [['[topic]', `a command, or ${topics.map(({ name }) => name).join(', ')}`]],
  options: [{ flags: '--all', help: 'every option of the command, in groups' }],
  examples: [
    ['wayward help', 'lists all commands'],
    ['wayward help learn', 'the same as wayward learn --help'],
    ['wayward help exit-codes', 'what each exit code means'],
  ],
  run: async ({ args: [topic], options: o, commands, printText }) => {
    const width = helpWidth();
    const text = topics.find(({ name }) => name === topic)?.text;
    const entry = commands.find(
      ({ name, aliases }) => name === topic || aliases?.includes(topic ?? ''),
    );
    if (topic === undefined) {
      const more = topics.map(({ name, what }) => `  wayward help ${name.padEnd(12)}  ${what}`);
      printText(`${commandList(commands, width)}\nMore:\n${more.join('\n')}`);
    } else if (text !== undefined) printText(text);
    else if (entry !== undefined) {
      const command = await entry.load();
      printText(helpText(grammarOf(entry, command, topic), command, o.all, width).trimEnd());
    } else {
      const known = [...topics, ...commands].map(({ name }) => name);
      const near = nearest(topic, known);
      const advice =
        near === undefined ? `topics are ${known.join(', ')}` : `did you mean ${near}?`;
      throw new UserError('no-topic', `there is no help on ${shorten(topic)}; ${advice}`, {
        category: 'arguments',
      });
    }
    return 0;
  },
};

export const helpCommand: Command = defineCommand(spec);
