import type { Command } from 'commander';
import { showCount } from '../../base/format.ts';
import { decimal, integer, text } from '../../base/option.ts';
import { type AcceptedSample, type AcceptResult, accept } from '../../commands/accept.ts';
import {
  binDirsOption,
  cpuOption,
  preprocessedOption,
  processOption,
  rawImagesOption,
} from '../../commands/samples/options.ts';
import { type CommandSpec, defineCommand } from '../frame/command.ts';
import { specOf } from '../frame/option.ts';

interface Options {
  readonly json: boolean;
  readonly output: string | undefined;
  readonly reason: string | undefined;
  readonly binDir: readonly string[] | undefined;
  readonly rawImages: boolean | undefined;
  readonly process: string | undefined;
  readonly preprocessed: boolean | undefined;
  readonly cpu: string | undefined;
  readonly fpr: number;
  readonly seed: number;
  readonly device: string;
  readonly timeout: number | undefined;
}

const spec: CommandSpec<Options> = {
  name: 'accept',
  group: 'Verdict',
  summary: 'Take harmless runs into a profile',
  args: [
    ['<profile>', 'file that learn wrote, or the folder of its run'],
    ['<sample...>', 'harmless samples, or folders of them'],
  ],
  options: [
    {
      flags: '-o, --output <file>',
      help: 'the new profile [a new name beside the old one, as reader-2.wayward]',
      parse: text,
    },
    { flags: '--reason <words>', help: 'why they are harmless; kept in the profile', parse: text },
    {
      ...specOf(binDirsOption),
      help: 'folder of executables and libraries; may be given again [bin beside traces]',
    },
    specOf(rawImagesOption),
    specOf(processOption),
    specOf(preprocessedOption),
    specOf(cpuOption),
    {
      flags: '--fpr <rate>',
      help: 'share of harmless runs that may be flagged: what is told holds for it',
      parse: decimal(0, 1, 'open'),
      default: 0.05,
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
  ],
  examples: [
    [
      'wayward accept reader.wayward new/traces/doc7 --reason "new font format"',
      'writes reader-2.wayward, which knows what doc7 does',
    ],
    ['wayward accept reader.wayward harmless -o reader.wayward', 'writes the new one over the old'],
  ],
  run: async ({ args: [profile = '', ...samples], options: o, terminal, signal, print }) => {
    const result = await accept(
      {
        ...{ profile, samples, output: o.output, reason: o.reason, binDirs: o.binDir ?? [] },
        ...{ rawImages: o.rawImages ?? false, process: o.process, cpu: o.cpu },
        ...{ preprocessed: o.preprocessed ?? false, timeout: o.timeout },
        ...{ fpr: o.fpr, seed: o.seed, device: o.device },
      },
      { log: terminal, progress: terminal.progress, signal },
    );
    if (o.json) print(JSON.stringify({ schemaVersion: 1, ...result }, undefined, 2));
    else for (const line of describe(result)) print(line);
    return 0;
  },
};

export const acceptCommand: Command = defineCommand(spec);

function describe(result: AcceptResult): string[] {
  const { accepted, skipped, before, after, use, profile } = result;
  const change = (what: 'blocks' | 'targets' | 'transfers'): string =>
    `${showCount(before[what])} -> ${showCount(after[what])} ${what}`;
  const left = skipped.length === 0 ? '' : `, ${skipped.length} left out (named above)`;
  const learned =
    use === 'calibration'
      ? 'the model cannot learn from more runs: they calibrate only'
      : `${before.trained} -> ${after.trained} runs; ${change('blocks')}, ${change('targets')}, ${change('transfers')}`;
  return [
    ...accepted.map(lineOf),
    '',
    `Accepted     ${accepted.length} runs${left}`,
    `Learned      ${learned}`,
    `Calibration  ${before.calibrating} -> ${after.calibrating} runs; a run is anomalous above ${before.threshold.toFixed(2)} -> ${after.threshold.toFixed(2)} nats`,
    `Profile      ${profile}`,
    '',
    `Next: wayward judge ${profile} SAMPLE...`,
  ];
}

function lineOf({ name, before, after }: AcceptedSample): string {
  const verdicts =
    before.verdict === after.verdict ? before.verdict : `${before.verdict} -> ${after.verdict}`;
  const was = before.place === undefined ? '' : `  ${before.place}`;
  return `p ${before.pValue.toFixed(3)} -> ${after.pValue.toFixed(3)}  ${name}  ${verdicts}${was}`;
}
