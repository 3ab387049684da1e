import { UserError } from '../../base/errors.ts';
import { text } from '../../base/options/option.ts';
import { showCount } from '../../base/text/format.ts';
import { type AcceptedSample, type AcceptResult, accept } from '../../commands/accept.ts';
import { type AcceptPlacesResult, acceptPlaces } from '../../commands/accept-places.ts';
import { outputProfile } from '../../commands/samples/output-file.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import { type ProfileFlags, profileOptions, requestOf } from '../options/profile-flags.ts';

interface Options extends ProfileFlags {
  readonly json: boolean;
  readonly out: string | undefined;
  readonly reason: string | undefined;
  readonly knownPlaces: string | undefined;
}

const spec: CommandSpec<Options> = {
  args: [
    ['<profile>', 'file that learn wrote, or the folder of its run'],
    ['<sample...>', 'harmless samples, or folders of them'],
  ],
  usual: ['out', 'reason', 'known-places', 'bin-dir', 'process', 'preprocessed', 'fpr', 'timeout'],
  options: [
    {
      flags: '-o, --out <file>',
      synonyms: ['output'],
      help: 'the new profile [a new name beside the old one, as reader-2.wayward]',
      parse: outputProfile,
    },
    { flags: '--reason <words>', help: 'why they are harmless; kept in the profile', parse: text },
    {
      flags: '--known-places <file>',
      help: 'leave the profile as it is, and write the places for which they are anomalous to a list for judge',
      parse: text,
    },
    ...profileOptions,
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
  run: async ({ args, options: o, terminal, signal, print, printText }) => {
    const context = { log: terminal, progress: terminal.progress, signal };
    const request = requestOf(args, o);
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
      if (o.json) printText(JSON.stringify({ schemaVersion: 1, ...noted }, undefined, 2));
      else for (const line of describePlaces(noted, request.profile)) print(line);
      return 0;
    }
    const result = await accept({ ...request, output, reason }, context);
    if (o.json) printText(JSON.stringify({ schemaVersion: 1, ...result }, undefined, 2));
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
