import { styleText } from 'node:util';
import { examineMachine } from '../../commands/doctor.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import { paint } from '../frame/paint.ts';

const signs = { ok: 'yes', missing: 'no', unsuitable: 'low' } as const;
const colours = { ok: 'green', missing: 'gray', unsuitable: 'yellow' } as const;

const spec: CommandSpec<{ readonly json: boolean }> = {
  args: [],
  options: [],
  examples: [['wayward doctor', 'lists what is there, what is missing and what it would bring']],
  run: async ({ options, print, printText }) => {
    const findings = await examineMachine();
    if (options.json) {
      printText(JSON.stringify({ schemaVersion: 1, findings }, undefined, 2));
    } else {
      const width = Math.max(...findings.map(({ what }) => what.length));
      for (const { what, state, found, use } of findings) {
        const style = (text: string): string =>
          styleText(colours[state], text, { stream: process.stdout });
        const sign = paint(style, signs[state].padEnd(4));
        print(`${sign}${what.padEnd(width + 2)}${found}`);
        print(`${' '.repeat(width + 6)}${use}`);
      }
    }
    return findings.some(({ what, state }) => what === 'Node.js' && state !== 'ok') ? 2 : 0;
  },
};

export const doctorCommand: Command = defineCommand(spec);
