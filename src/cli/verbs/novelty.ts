import { decimal } from '../../base/options/option.ts';
import { showCount } from '../../base/text/format.ts';
import { type NoveltyResult, novelty } from '../../commands/novelty.ts';
import { outputFile } from '../../commands/samples/output-file.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import {
  ancestorsSequenceWords,
  type SequenceFlags,
  sequenceOptions,
  sequencesOf,
} from '../options/sequence-flags.ts';

interface Options extends SequenceFlags {
  readonly json: boolean;
  readonly sequenceLen: number;
  readonly errorRate: number;
  readonly exact: boolean;
  readonly csv: string | undefined;
  readonly plot: string | undefined;
}

const spec: CommandSpec<Options> = {
  args: [['<sets>', 'sets file']],
  usual: [
    ...['bin-dir', 'source', 'preprocessed', 'sequence-len', 'filter', 'exact', 'csv', 'plot'],
  ],
  ancestor: { bloom: { ...ancestorsSequenceWords, script: 'bloom.py' } },
  options: [
    ...sequenceOptions({
      sequenceLen: 'blocks in a sequence',
      maxWindows: 'distinct sequences of a trace in memory, unless --exact',
    }),
    {
      flags: '--error-rate <share>',
      help: 'share of new sequences that may be taken for known',
      parse: decimal(0, 1, 'open'),
      default: 0.001,
    },
    { flags: '--exact', help: 'count exactly, in more memory' },
    { flags: '--csv <file>', help: 'write the counts', parse: outputFile },
    { flags: '--plot <file>', help: 'draw the curve', parse: outputFile },
  ],
  examples: [
    ['wayward novelty sets.txt --plot novelty.svg', 'would more traces help?'],
    ['wayward novelty sets.txt -p --exact --csv novelty.csv', 'exact counts of stored traces'],
  ],
  run: async ({ args: [sets = ''], options: o, terminal, signal, print, printText }) => {
    const result = await novelty(
      {
        sets,
        output: o.csv,
        plot: o.plot,
        ...sequencesOf(o),
        windowLength: o.sequenceLen,
        errorRate: o.exact ? undefined : o.errorRate,
      },
      { log: terminal, progress: terminal.progress, signal },
    );
    if (o.json) printText(JSON.stringify({ schemaVersion: 1, ...result }, undefined, 2));
    else for (const line of describe(result)) print(line);
    return 0;
  },
};

function describe({ points, conclusion, errorRate, skipped }: NoveltyResult): string[] {
  const lines = ['        new    share        total  role            trace'];
  for (const { name, role, fresh, distinct, total } of points) {
    const share = `${((100 * fresh) / Math.max(1, distinct)).toFixed(2)} %`;
    lines.push(
      `${showCount(fresh).padStart(11)} ${share.padStart(8)} ${showCount(total).padStart(12)}  ${role.padEnd(14)}  ${name}`,
    );
  }
  lines.push('', conclusion);
  lines.push(
    errorRate === 0
      ? 'The counts are exact.'
      : `A new sequence is taken for known with a probability of at most ${100 * errorRate} %.`,
  );
  if (skipped.length > 0) lines.push(`Left out: ${skipped.length} samples, named above.`);
  return lines;
}

export const noveltyCommand: Command = defineCommand(spec);
