import { join } from 'node:path';
import { choice, integer, text } from '../../base/options/option.ts';
import { report } from '../../commands/report.ts';
import { findEvaluations } from '../../commands/run/path.ts';
import { outputFile } from '../../commands/samples/output-file.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import { type JudgeOptions, judgeOptions, toClassifyOptions } from '../options/judge-flags.ts';

interface Options extends JudgeOptions {
  readonly json: boolean;
  readonly out: string | undefined;
  readonly only: string | undefined;
  readonly detailed: number;
  readonly patches: number;
  readonly pictures: 'predictions' | 'blocks' | undefined;
}

const spec: CommandSpec<Options> = {
  args: [['<run>', "a run's folder, or a folder of evaluations"]],
  usual: ['out', 'only', 'detailed', 'patches', 'pictures', 'method', 'fpr', 'features', 'load'],
  options: [
    {
      flags: '-o, --out <file>',
      synonyms: ['output'],
      help: "the page [report.html in the run's folder]",
      parse: outputFile,
    },
    {
      flags: '--only <sample>',
      help: 'a page about this trace alone, to hand on: with room for notes [SAMPLE.html]',
      parse: text,
    },
    {
      flags: '--detailed <n>',
      help: 'traces that get a page of their own, most suspicious first',
      parse: integer(0),
      default: 25,
    },
    { flags: '--patches <n>', help: 'places shown for each', parse: integer(1, 100), default: 5 },
    {
      flags: '--pictures <kind>',
      help: 'show those traces as pixels, too: predictions (right or wrong) or blocks',
      parse: choice('predictions', 'blocks'),
    },
    ...judgeOptions,
  ],
  examples: [
    ['wayward report runs/RUN', 'writes runs/RUN/report.html'],
    [
      'wayward report runs/RUN -o page.html --fpr 0.01',
      'the same elsewhere, with a stricter threshold',
    ],
    ['wayward report runs/RUN --only SAMPLE -o alarm.html', 'one alarm, to hand on'],
  ],
  run: async ({ args: [path = ''], options, terminal, signal, print, printText }) => {
    const { run, evaluation } = await findEvaluations(path);
    const output = options.out ?? join(run ?? evaluation, `${options.only ?? 'report'}.html`);
    const result = await report(
      {
        ...toClassifyOptions(path, options),
        output,
        only: options.only,
        detailed: options.detailed,
        patches: options.patches,
        pictures: options.pictures,
      },
      { log: terminal, progress: terminal.progress, signal },
    );
    if (options.only !== undefined) {
      const [{ verdict }] = result.report.rows;
      print(
        options.json
          ? JSON.stringify({ schemaVersion: 1, page: output, verdict: verdict ?? null })
          : `${options.only}: ${verdict ?? 'no verdict'}. The page: ${output}`,
      );
      return 0;
    }
    const judged = result.report.rows.filter(({ role }) => role === 'test').length;
    if (options.json)
      printText(
        JSON.stringify({ schemaVersion: 1, page: output, judged, flagged: result.flagged }),
      );
    else print(`${result.flagged} of ${judged} traces are flagged. The page: ${output}`);
    return 0;
  },
};

export const reportCommand: Command = defineCommand(spec);
