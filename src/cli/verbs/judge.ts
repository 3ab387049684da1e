import type { Command } from 'commander';
import { choice, decimal, integer, text } from '../../base/option.ts';
import { version } from '../../base/version.ts';
import { defaultJudging } from '../../commands/classify.ts';
import { type JudgedSample, type JudgeResult, judge } from '../../commands/judge.ts';
import { report } from '../../commands/report.ts';
import {
  binDirsOption,
  cpuOption,
  preprocessedOption,
  processOption,
  rawImagesOption,
} from '../../commands/samples/options.ts';
import { type CommandSpec, defineCommand } from '../frame/command.ts';
import { specOf } from '../frame/option.ts';
import { debugDirsOption, namesOf } from '../options/name-flags.ts';

interface Options {
  readonly json: boolean;
  readonly binDir: readonly string[] | undefined;
  readonly rawImages: boolean | undefined;
  readonly debugDir: readonly string[] | undefined;
  readonly process: string | undefined;
  readonly preprocessed: boolean | undefined;
  readonly cpu: string | undefined;
  readonly fpr: number;
  readonly features: string | undefined;
  readonly seed: number;
  readonly device: string;
  readonly timeout: number | undefined;
  readonly report: string | undefined;
  readonly out: string;
  readonly exitCode: boolean | undefined;
}

const spec: CommandSpec<Options> = {
  name: 'judge',
  group: 'Verdict',
  summary: 'Judge recordings with what was learned before',
  args: [
    ['<profile>', 'file that learn wrote, or the folder of its run'],
    ['<sample...>', 'samples, or folders of them'],
  ],
  options: [
    {
      ...specOf(binDirsOption),
      help: 'folder of executables and libraries; may be given again [bin beside traces]',
    },
    specOf(rawImagesOption),
    debugDirsOption,
    specOf(processOption),
    specOf(preprocessedOption),
    specOf(cpuOption),
    {
      flags: '--fpr <rate>',
      help: 'share of harmless runs that may be flagged',
      parse: decimal(0, 1, 'open'),
      default: 0.05,
    },
    {
      flags: '--features <list>',
      help: 'all, first-layer or calls [all; for logs of calls: calls]',
      parse: choice('all', 'first-layer', 'calls'),
    },
    { flags: '--seed <n>', help: 'fixes permutations', parse: integer(0, 4294967295), default: 1 },
    {
      flags: '--device <name>',
      help: 'cpu, webgpu or cuda:N, for a network',
      parse: text,
      default: 'cpu',
    },
    {
      flags: '-t, --timeout <seconds>',
      help: 'time for reading one sample; one that takes longer is left out [any]',
      parse: decimal(0, 1e6, 'open'),
    },
    { flags: '--report <file>', help: 'write the HTML page, too', parse: text },
    {
      flags: '--out <dir>',
      help: "folder below which runs/ gets the run's folder",
      parse: text,
      default: '.',
    },
    { flags: '--exit-code', help: 'end with 10 when a sample is anomalous' },
  ],
  examples: [
    ['wayward judge runs/RUN new', 'judges the samples in new/traces with the images in new/bin'],
    [
      'wayward judge reader.wayward suspicious/traces/doc1 --report doc1.html',
      'one sample, and its page',
    ],
    ['wayward judge reader.wayward new --exit-code --json', 'for scripts'],
  ],
  run: async ({ args: [profile = '', ...samples], options: o, terminal, signal, print }) => {
    const context = { log: terminal, progress: terminal.progress, signal };
    const names = namesOf(o.debugDir);
    const result = await judge(
      {
        ...{ profile, samples, fpr: o.fpr, seed: o.seed, device: o.device, out: o.out },
        ...{ binDirs: o.binDir ?? [], rawImages: o.rawImages ?? false, process: o.process },
        ...{ preprocessed: o.preprocessed ?? false, cpu: o.cpu, timeout: o.timeout },
        names,
        ...(o.features === undefined ? {} : { features: o.features }),
      },
      context,
      (sample) => {
        if (!o.json) print(lineOf(sample));
      },
    );
    if (o.report !== undefined) {
      const page = { ...defaultJudging, path: result.folder.root, fpr: o.fpr, version };
      await report(
        { ...page, output: o.report, detailed: 25, patches: 5, pictures: undefined, names },
        context,
      );
    }
    if (o.json) print(JSON.stringify(documentOf(result), undefined, 2));
    else for (const line of summaryOf(result, o.report)) print(line);
    const isAnomalous = result.judged.some(({ verdict }) => verdict === 'anomalous');
    if (o.exitCode && isAnomalous) return 10;
    return result.judged.length === 0 ? 5 : 0;
  },
};

export const judgeCommand: Command = defineCommand(spec);

function lineOf({ verdict, pValue, name, place }: JudgedSample): string {
  const word = verdict === 'anomalous' ? 'ANOMALOUS' : 'nominal  ';
  const why = place === undefined ? '' : `  ${place}`;
  return `${word}  p ${pValue.toFixed(3)}  ${name}${why}`;
}

function summaryOf({ judged, skipped, folder }: JudgeResult, page: string | undefined): string[] {
  const flagged = judged.filter(({ verdict }) => verdict === 'anomalous').length;
  const left = skipped.length === 0 ? '' : `, ${skipped.length} left out (named above)`;
  return [
    '',
    `${flagged} of ${judged.length} samples anomalous${left}`,
    `Run   ${folder.root}`,
    page === undefined ? `Next: wayward report ${folder.root}` : `Page  ${page}`,
  ];
}

function documentOf({ judged, skipped, folder }: JudgeResult): object {
  return { schemaVersion: 1, run: folder.root, samples: judged, skipped };
}
