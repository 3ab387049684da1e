import { UserError } from '../../base/errors.ts';
import { decimal, integer, text } from '../../base/options/option.ts';
import { showCount } from '../../base/text/format.ts';
import { type AcceptedSample, type AcceptResult, accept } from '../../commands/accept.ts';
import { type AcceptPlacesResult, acceptPlaces } from '../../commands/accept-places.ts';
import {
  binDirsOption,
  cpuOption,
  preprocessedOption,
  processOption,
  rawImagesOption,
} from '../../commands/samples/options.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import { specOf } from '../frame/option.ts';
import { namesOf } from '../options/name-flags.ts';

interface Options {
  readonly json: boolean;
  readonly out: string | undefined;
  readonly reason: string | undefined;
  readonly knownPlaces: string | undefined;
  readonly binDir: readonly string[] | undefined;
  readonly rawImages: boolean;
  readonly process: string | undefined;
  readonly preprocessed: boolean;
  readonly cpu: string | undefined;
  readonly fpr: number;
  readonly seed: number;
  readonly device: string;
  readonly timeout: number | undefined;
}

const spec: CommandSpec<Options> = {
  args: [
    ['<profile>', 'file that learn wrote, or the folder of its run'],
    ['<sample...>', 'harmless samples, or folders of them'],
  ],
  options: [
    {
      flags: '-o, --out <file>',
      synonyms: ['output'],
      help: 'the new profile [a new name beside the old one, as reader-2.wayward]',
      parse: text,
    },
    { flags: '--reason <words>', help: 'why they are harmless; kept in the profile', parse: text },
    {
      flags: '--known-places <file>',
      help: 'leave the profile as it is, and write the places for which they are anomalous to a list for judge',
      parse: text,
    },
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
    [
      'wayward accept reader.wayward new/traces/doc7 --known-places reader.known --reason "new font format"',
      'leaves the profile as it is, and notes the places that alarm, for judge --known-places',
    ],
    ['wayward accept reader.wayward harmless -o reader.wayward', 'writes the new one over the old'],
  ],
  run: async ({ args: [profile = '', ...samples], options: o, terminal, signal, print }) => {
    const context = { log: terminal, progress: terminal.progress, signal };
    const request = {
      ...{ profile, samples, binDirs: o.binDir ?? [], rawImages: o.rawImages },
      ...{ process: o.process, cpu: o.cpu, preprocessed: o.preprocessed },
      ...{ timeout: o.timeout, fpr: o.fpr, seed: o.seed, device: o.device },
      names: namesOf(undefined),
    };
    const { knownPlaces, reason, out: output } = o;
    if (knownPlaces !== undefined) {
      if (reason === undefined || output !== undefined) {
        throw new UserError(
          'known-places-words',
          '--known-places takes --reason, which whoever reviews the list needs, and no --out',
          { category: 'arguments' },
        );
      }
      const noted = await acceptPlaces({ ...request, knownPlaces, reason }, context);
      if (o.json) print(JSON.stringify({ schemaVersion: 1, ...noted }, undefined, 2));
      else for (const line of describePlaces(noted, profile)) print(line);
      return 0;
    }
    const result = await accept({ ...request, output, reason }, context);
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
    `Accepted     ${accepted.length} ${accepted.length === 1 ? 'run' : 'runs'}${left}`,
    `Learned      ${learned}`,
    `Calibration  ${before.calibrating} -> ${after.calibrating} runs; a run is anomalous above ${before.threshold.toFixed(2)} -> ${after.threshold.toFixed(2)} nats`,
    `Profile      ${profile}`,
    '',
    `Next: wayward judge ${profile} SAMPLE...`,
  ];
}

function describePlaces({ accepted, knownPlaces }: AcceptPlacesResult, profile: string): string[] {
  const lines = accepted.flatMap(({ name, before, after, places }) => [
    lineOf({ name, before, after }),
    ...places.map(({ fingerprint }) => `  ${fingerprint}`),
  ]);
  const count = accepted.reduce((sum, { places }) => sum + places.length, 0);
  return [
    ...lines,
    '',
    `Noted        ${count} places in ${knownPlaces}`,
    '',
    `Next: wayward judge ${profile} SAMPLE... --known-places ${knownPlaces}`,
  ];
}

function lineOf({ name, before, after }: Omit<AcceptedSample, 'directory'>): string {
  const verdicts =
    before.verdict === after.verdict ? before.verdict : `${before.verdict} -> ${after.verdict}`;
  const was = before.place === undefined ? '' : `  ${before.place}`;
  return `p ${before.pValue.toFixed(3)} -> ${after.pValue.toFixed(3)}  ${name}  ${verdicts}${was}`;
}
