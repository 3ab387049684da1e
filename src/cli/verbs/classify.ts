import { join } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { removeAll } from '../../base/files/folder.ts';
import { writeFileAtomic } from '../../base/files/write.ts';
import { text } from '../../base/options/option.ts';
import { type ClassifyResult, classify } from '../../commands/classify.ts';
import { withPlaces } from '../../commands/report.ts';
import { findEvaluations } from '../../commands/run/path.ts';
import { writePlots } from '../../commands/run/plots.ts';
import { reopenQueueRun } from '../../commands/run/queue-run.ts';
import { outputFile } from '../../commands/samples/output-file.ts';
import type { RunContext } from '../../model/first-layer.ts';
import type { ReportData } from '../../report/data/report-data.ts';
import { rocToCsv, rowsToCsv } from '../../report/text/csv.ts';
import { reportToJson } from '../../report/text/json-report.ts';
import { reportToSarif } from '../../report/text/sarif.ts';
import {
  colourStyle,
  plainStyle,
  renderSummary,
  type Style,
} from '../../report/text/terminal-table.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import { paint } from '../frame/paint.ts';
import { exitCodeOption, verdictCode } from '../options/exit-code.ts';
import { type JudgeOptions, judgeOptions, toClassifyOptions } from '../options/judge-flags.ts';
import {
  attachOption,
  attachTo,
  checkQueueOptions,
  type QueueOptions,
  queueOpener,
  queueOption,
} from '../options/queue-options.ts';
import { type WatchWords, watchCommand, watchWords } from './watch.ts';

/** The table and figures for a terminal, as wide as it is. */
export function summaryFor(report: ReportData, withCalibration: boolean): string {
  const rows = withCalibration ? report.rows : report.rows.filter(({ role }) => role === 'test');
  const isColoured = process.stdout.isTTY === true || process.env.FORCE_COLOR !== undefined;
  return renderSummary(
    { ...report, rows: rows.length === 0 ? report.rows : rows },
    {
      width: process.stdout.columns ?? widthOfFiles,
      style: isColoured && process.env.NO_COLOR === undefined ? paintedStyle : plainStyle,
    },
  );
}

const paintedStyle: Style = (role, text) => paint((part) => colourStyle(role, part), text);

/** Where standard output is no terminal, no column is dropped. */
const widthOfFiles = 240;

interface Options extends JudgeOptions, WatchWords, QueueOptions {
  readonly all: boolean;
  readonly json: boolean;
  readonly plot: string | undefined;
  readonly csv: string | undefined;
  readonly roc: string | undefined;
  readonly sarif: string | undefined;
  readonly exitCode: boolean;
}

const spec: CommandSpec<Options> = {
  args: [['[run]', "a run's folder, or a folder of evaluations"]],
  usual: [
    ...['method', 'fpr', 'features', 'watch', 'bin-dir', 'timeout', 'jobs', 'all', 'plot', 'csv'],
    ...['roc', 'sarif', 'exit-code'],
  ],
  ancestor: {
    classifier: {
      script: 'classifier.py',
      letters: {
        ...{ f: 'zero-fpr', s: 'save', l: 'load', c: 'csv', p: 'plot', r: 'roc' },
        ...{ w: 'jobs', i: 'ignore-cache' },
      },
      words: { force: 'zero-fpr', workers: 'jobs' },
      moot: {
        nu: { takesValue: true, letter: 'n', advice: '--fpr takes its place' },
        gamma: { takesValue: true, letter: 'g', advice: 'the classifier is linear' },
        'black-list': {
          takesValue: true,
          letter: 'b',
          advice: 'leave evaluations out by moving them elsewhere',
        },
      },
    },
  },
  options: [
    ...judgeOptions,
    ...watchWords,
    queueOption,
    attachOption,
    { flags: '--all', help: 'list the calibration traces, too' },
    {
      flags: '--plot <dir>',
      help: 'write scatter, scores and ROC as SVG and PNG',
      parse: text,
    },
    { flags: '--csv <file>', help: 'write the table', parse: outputFile },
    { flags: '--roc <file>', help: 'write the ROC curve as CSV', parse: outputFile },
    { flags: '--sarif <file>', help: 'write what was flagged for CI systems', parse: outputFile },
    exitCodeOption,
  ],
  examples: [
    ['wayward classify runs/RUN', 'judges at a false-positive rate of 5 %'],
    [
      'wayward classify runs/RUN --fpr 0.01',
      'needs 99 calibration traces, and says so when there are fewer',
    ],
    [
      'wayward classify runs/RUN --features first-layer',
      'leaves out what the trace proves by itself',
    ],
    [
      'wayward classify runs/RUN --method labelled --zero-fpr --save svm.json',
      'fits the linear SVM to the labels and keeps it',
    ],
    [
      'wayward classify runs/RUN --watch incoming >> verdicts.ndjson',
      'scores recordings as they arrive, each once, over restarts, too',
    ],
  ],
  run: async ({ args, options, terminal, signal, print, printText }) => {
    checkQueueOptions(options);
    const path = args[0] ?? options.attach;
    if (path === undefined) {
      throw new UserError('no-run', "classify needs a run's folder", { category: 'arguments' });
    }
    const context = { log: terminal, progress: terminal.progress, signal };
    if (options.watch !== undefined) return watchCommand(path, options, context, print);
    const judged =
      options.queue === undefined
        ? await classify(toClassifyOptions(path, options), context)
        : await classifyQueued(path, options, options.queue, context);
    const isForPrograms = options.json || options.sarif !== undefined || options.csv !== undefined;
    const { report, flagged } = isForPrograms
      ? await withPlaces(judged, toClassifyOptions(path, options), context)
      : judged;
    if (options.plot !== undefined) await writePlots(report, options.plot);
    if (options.csv !== undefined) await writeFileAtomic(options.csv, rowsToCsv(report.rows));
    if (options.roc !== undefined) await writeFileAtomic(options.roc, rocToCsv(report.roc));
    if (options.sarif !== undefined) await writeFileAtomic(options.sarif, reportToSarif(report));
    printText(options.json ? reportToJson(report) : summaryFor(report, options.all));
    return verdictCode(options.exitCode, { anomalous: flagged, leftOut: report.skipped.length });
  },
};

async function classifyQueued(
  path: string,
  options: Options,
  url: string,
  context: RunContext,
): Promise<ClassifyResult> {
  const { run, evaluation } = await findEvaluations(path);
  const folder = join(run ?? evaluation, 'classify');
  if (options.attach === undefined) await removeAll(folder);
  const queued = await reopenQueueRun(folder, 'classify');
  const goOn = attachTo('classify', path);
  const scheduler = await queueOpener(url, folder, queued, { goOn })(context);
  try {
    const judge = toClassifyOptions(path, options);
    const result = await classify(judge, context, undefined, scheduler);
    // What was collected holds for the evaluations as they are now.
    await removeAll(folder);
    return result;
  } finally {
    await scheduler.close();
  }
}

export const classifyCommand: Command = defineCommand(spec);
