import type { Command } from 'commander';
import { showCount } from '../../base/format.ts';
import { choices, integer, text } from '../../base/option.ts';
import { type StatsResult, stats } from '../../commands/stats.ts';
import { shareWithin } from '../../report/charts/target-chart.ts';
import { defaultFilter, type FilterName, filterNames } from '../../sequences/filter.ts';
import { type CommandSpec, defineCommand } from '../frame/command.ts';
import type { OptionSpec } from '../frame/option.ts';
import {
  cpuOption,
  imageOptions,
  preprocessedOption,
  type SourceFlags,
  sourceOf,
  sourceOptions,
} from '../options/sample-flags.ts';

export interface FilterFlags {
  readonly filter: readonly FilterName[];
  readonly ret: boolean;
  readonly call: boolean;
  readonly jmp: boolean;
}

/** The ancestor's flags add to the indirect transfers, or replace what `--filter` says. */
export const filterOptions: readonly OptionSpec[] = [
  {
    flags: '--filter <list>',
    help: `transfers to count: ${filterNames.join(', ')}`,
    parse: choices(...filterNames),
    default: defaultFilter,
  },
  { flags: '-r, --ret', help: 'count returns; with -c or -j these kinds only' },
  { flags: '-c, --call', help: 'count indirect calls; with -r or -j these kinds only' },
  { flags: '-j, --jmp', help: 'count indirect jumps; with -r or -c these kinds only' },
];

export function filterOf({ filter, ret, call, jmp }: FilterFlags): readonly FilterName[] {
  const named: FilterName[] = [];
  if (ret) named.push('ret');
  if (call) named.push('icall');
  if (jmp) named.push('ijmp');
  return named.length > 0 ? named : filter;
}

interface Options extends FilterFlags, SourceFlags {
  readonly json: boolean;
  readonly binDir: readonly string[] | undefined;
  readonly rawImages: boolean;
  readonly sequenceLen: number;
  readonly maxWindows: number;
  readonly plot: string | undefined;
}

const spec: CommandSpec<Options> = {
  name: 'stats',
  group: 'Trace',
  summary: 'Show how many unique targets the sources of a corpus have, by sequence length',
  args: [
    ['<root>', "folder that holds one folder a sample, or a sample's folder"],
    ['[csv]', 'file for the distribution'],
  ],
  options: [
    ...imageOptions,
    ...sourceOptions,
    cpuOption,
    preprocessedOption,
    ...filterOptions,
    {
      flags: '-s, --sequence-len <n>',
      help: 'longest sequence, in blocks',
      parse: integer(1, 1024),
      default: 32,
    },
    {
      flags: '--max-windows <n>',
      help: 'distinct sequences in memory; beyond it sources are sampled',
      parse: integer(1024, 2 ** 26),
      default: 2_000_000,
    },
    { flags: '--plot <file>', help: 'draw the distribution, as SVG or PNG', parse: text },
  ],
  examples: [
    ['wayward stats samples targets.csv --bin-dir bin --plot targets.svg', 'all lengths up to 32'],
    ['wayward stats samples -p -r -s 8', 'returns only, stored traces, up to 8 blocks'],
  ],
  run: async ({ args: [root = '', output], options: o, terminal, signal, print }) => {
    const result = await stats(
      {
        root,
        output,
        plot: o.plot,
        binDirs: o.binDir ?? [],
        rawImages: o.rawImages ?? false,
        ...sourceOf(o),
        filter: filterOf(o),
        maxLength: o.sequenceLen,
        maxWindows: o.maxWindows,
      },
      { log: terminal, progress: terminal.progress, signal },
    );
    if (o.json) print(JSON.stringify({ schemaVersion: 1, ...result }, undefined, 2));
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
