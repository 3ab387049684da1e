import { UserError } from '../../base/errors.ts';
import { integer } from '../../base/options/option.ts';
import { entriesOf } from '../../base/values.ts';
import { checkOutput } from '../../commands/samples/output-file.ts';
import { checkSets, makeSets } from '../../commands/sets.ts';
import { readSets, type Sets } from '../../trace/sets-file.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import { type SourceFlags, sizeOptions, sourceOf, sourceOptions } from '../options/sample-flags.ts';

interface Options extends SourceFlags {
  readonly json: boolean;
  readonly trainSize: number;
  readonly calibrationSize: number | undefined;
  readonly testSizeBenign: number;
  readonly testSizeMalicious: number;
  readonly seed: number;
}

const spec: CommandSpec<Options> = {
  args: [
    ['<action>', 'make, show or check'],
    ['<path>', 'make: the folder of the samples; show and check: the sets file'],
    ['[file]', 'make: the sets file to write'],
  ],
  firstWords: ['make', 'show', 'check'],
  options: [
    ...sourceOptions,
    { flags: '-p, --preprocessed', help: 'stored traces (see preprocess) are what counts' },
    ...sizeOptions,
    { flags: '--seed <n>', help: 'fixes the sets', parse: integer(0, 4294967295), default: 1 },
  ],
  examples: [
    ['wayward sets make samples sets.txt --train-size 40', 'deal samples out, no trace twice'],
    ['wayward sets check sets.txt', 'name what is missing, mislabelled or there twice'],
    ['wayward sets show sets.txt --json', 'the four lists'],
  ],
  run: async ({
    args: [action = '', path = '', file],
    options: o,
    terminal,
    signal,
    print,
    printText,
  }) => {
    const context = { log: terminal, progress: terminal.progress, signal };
    const show = (sets: Sets, more: Readonly<Record<string, unknown>> = {}): void => {
      if (o.json) printText(JSON.stringify({ schemaVersion: 1, ...sets, ...more }, undefined, 2));
      else print(`Sets         ${count(sets)}`);
    };
    switch (action) {
      case 'make': {
        if (file === undefined) throw wrong('sets make needs the file to write after the folder');
        checkOutput(file);
        const made = await makeSets(
          {
            root: path,
            output: file,
            sizes: {
              train: o.trainSize,
              calibrate: o.calibrationSize,
              testNominal: o.testSizeBenign,
              testAnomalous: o.testSizeMalicious,
            },
            seed: o.seed,
            ...sourceOf(o),
          },
          context,
        );
        for (const { reason } of made.skipped) terminal.log('warning', `left out: ${reason}`);
        show(made.sets, { duplicates: made.duplicates, skipped: made.skipped });
        if (!o.json && made.duplicates.length > 0)
          print(`Duplicates   ${made.duplicates.length} samples left out, named above`);
        return 0;
      }
      case 'show': {
        const { sets, skipped } = await readSets(path, '/');
        for (const { entry, reason } of skipped) terminal.log('warning', `${entry} ${reason}`);
        show(sets);
        if (!o.json)
          for (const [name, list] of entriesOf(sets))
            for (const directory of list) print(`${name.padEnd(13)}${directory}`);
        return 0;
      }
      case 'check': {
        const { sets, problems } = await checkSets(path, sourceOf(o), context);
        show(sets, { problems });
        if (!o.json) for (const problem of problems) print(problem);
        if (!o.json && problems.length === 0)
          print('Every sample is whole, and no trace is there twice.');
        return problems.length > 0 ? 5 : 0;
      }
      default:
        throw wrong(`sets takes make, show or check, not "${action.slice(0, 40)}"`);
    }
  },
};

function wrong(message: string): UserError {
  return new UserError('bad-options', message, { category: 'arguments' });
}

function count({ train, calibrate, testNominal, testAnomalous }: Sets): string {
  return `${train.length} training, ${calibrate.length} calibration, ${testNominal.length} benign and ${testAnomalous.length} malicious test samples`;
}

export const setsCommand: Command = defineCommand(spec);
