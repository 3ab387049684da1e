import { showCount } from '../../base/text/format.ts';
import { checkOutput, outputFile } from '../../commands/samples/output-file.ts';
import { type StatsResult, stats } from '../../commands/stats.ts';
import { shareWithin } from '../../report/charts/target-chart.ts';
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
  readonly plot: string | undefined;
}

const spec: CommandSpec<Options> = {
  args: [
    ['<root>', 'root with traces/ and bin/, folder of samples, or one sample'],
    ['[csv]', 'file for the distribution'],
  ],
  usual: ['bin-dir', 'source', 'preprocessed', 'sequence-len', 'filter', 'plot'],
  ancestor: { stats: { ...ancestorsSequenceWords, script: 'stats.py' } },
  options: [
    ...sequenceOptions({
      sequenceLen: 'longest sequence, in blocks',
      maxWindows: 'distinct sequences in memory; beyond it sources are sampled',
    }),
    { flags: '--plot <file>', help: 'draw the distribution, as SVG or PNG', parse: outputFile },
  ],
  examples: [
    ['wayward stats ROOT targets.csv --plot targets.svg', 'all lengths up to 32'],
    ['wayward stats samples -p --ret -s 8', 'returns only, stored traces, up to 8 blocks'],
  ],
  run: async ({ args: [root = '', output], options: o, terminal, signal, print, printText }) => {
    checkOutput(output);
    const result = await stats(
      {
        root,
        output,
        plot: o.plot,
        ...sequencesOf(o),
        maxLength: o.sequenceLen,
      },
      { log: terminal, progress: terminal.progress, signal },
    );
    if (o.json) printText(JSON.stringify({ schemaVersion: 1, ...result }, undefined, 2));
    else for (const line of describe(result)) print(line);
    return 0;
  },
};

function describe(result: StatsResult): string[] {
  const lines = [
    `Read         ${result.samples} samples, ${showCount(result.blocks)} blocks, ${showCount(result.distinctWindows)} distinct sequences`,
  ];
  if (result.sampled < 1)
    lines.push(
      `Sampled      ${100 * result.sampled} % of the blocks, to stay within --max-windows`,
    );
  if (result.skipped.length > 0) lines.push(`Left out     ${result.skipped.length} samples`);
  lines.push('', 'length     sources  1 target  at most 2  at most 10  most targets');
  for (const distribution of result.distributions) {
    const share = (most: number): string =>
      `${(100 * shareWithin(distribution, most)).toFixed(2)} %`;
    const most = distribution.histogram.at(-1)?.[0] ?? 0;
    lines.push(
      `${String(distribution.length).padStart(6)} ${showCount(distribution.sources).padStart(11)}  ${share(1).padStart(8)}  ${share(2).padStart(9)}  ${share(10).padStart(10)}  ${showCount(most).padStart(12)}`,
    );
  }
  return lines;
}

export const statsCommand: Command = defineCommand(spec);
