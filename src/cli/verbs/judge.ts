import { choice, integer, text } from '../../base/options/option.ts';
import { type JudgedSample, type JudgeResult, judge } from '../../commands/judge.ts';
import { reopenQueueRun } from '../../commands/run/queue-run.ts';
import { outputFile } from '../../commands/samples/output-file.ts';
import { documentText } from '../../report/text/json-report.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import { exitCodeOption, verdictCode } from '../options/exit-code.ts';
import { type ProfileFlags, profileOptions, requestOf } from '../options/profile-flags.ts';
import { queueOpener, queueOption } from '../options/queue-options.ts';
import {
  checkFolderWords,
  type FolderLine,
  type FolderWords,
  folderWords,
  judgeFolderCommand,
} from './judge-folder.ts';
import { type JudgedFiles, writeJudged } from './judged-files.ts';
import { passedOverText } from './passed-over.ts';

interface Options extends ProfileFlags, FolderWords, JudgedFiles {
  readonly json: boolean;
  readonly features: string | undefined;
  readonly knownPlaces: string | undefined;
  readonly jobs: number | undefined;
  readonly queue: string | undefined;
  readonly out: string;
  readonly exitCode: boolean;
}

const spec: CommandSpec<Options> = {
  args: [
    ['<profile>', 'file that learn wrote, the folder of its run, or a folder of profiles'],
    ['[sample...]', 'samples, folders of them, perf.data files; logs of calls'],
  ],
  usual: [
    ...['bin-dir', 'fpr', 'watch', 'once', 'report', 'sarif', 'csv', 'exit-code', 'jobs'],
    ...['timeout', 'queue', 'preprocessed', 'out'],
  ],
  options: [
    ...profileOptions,
    {
      flags: '--features <list>',
      help: 'all, first-layer or calls [all; for logs of calls: calls]',
      parse: choice('all', 'first-layer', 'calls'),
    },
    {
      flags: '--known-places <file>',
      help: 'transfers that somebody found harmless, a line each: they do not alarm, and are told',
      parse: text,
    },
    {
      flags: '-j, --jobs <n>',
      help: 'processes that judge [1; with many samples one a core]',
      parse: integer(1, 256),
    },
    queueOption,
    ...folderWords,
    { flags: '--report <file>', help: 'write the HTML page, too', parse: outputFile },
    {
      flags: '--sarif <file>',
      help: 'write what is anomalous for CI systems, too',
      parse: outputFile,
    },
    { flags: '--csv <file>', help: 'write a table of all samples, too', parse: outputFile },
    {
      flags: '-o, --out <dir>',
      help: "folder below which runs/ gets the run's folder",
      parse: text,
      default: '.',
    },
    exitCodeOption,
  ],
  examples: [
    ['wayward judge runs/RUN new', 'judges the samples in new/traces with the images in new/bin'],
    [
      'wayward judge reader.wayward suspicious/traces/doc1 --report doc1.html',
      'one sample, and its page',
    ],
    ['wayward judge reader.wayward new --exit-code --json', 'for scripts'],
    ['wayward judge profiles new', "judges each sample by its program's profile"],
    [
      'wayward judge reader.wayward --watch incoming --json >> verdicts.ndjson',
      'judges recordings as they arrive',
    ],
    ['wayward judge reader.wayward perf.data', 'judges what perf record -e intel_pt//u wrote'],
  ],
  run: async ({ args, options: o, terminal, signal, print, printText }) => {
    const context = { log: terminal, progress: terminal.progress, signal };
    const request = {
      ...requestOf(args, o),
      ...{ out: o.out, jobs: o.jobs, knownPlaces: o.knownPlaces },
      ...(o.features === undefined ? {} : { features: o.features }),
    };
    checkFolderWords(request.samples, o);
    const { queue } = o;
    if (o.watch !== undefined) {
      const { watch, settle, once = false, idle } = o;
      const ends = { folder: watch, settleSeconds: settle, once, idleSeconds: idle };
      const told = { anomalous: 0, leftOut: 0 };
      await judgeFolderCommand({ ...request, ...ends }, queue, context, (line, json) => {
        if (line.verdict === 'anomalous') told.anomalous++;
        if (line.verdict === null) told.leftOut++;
        print(o.json ? json : folderLineOf(line));
      });
      return verdictCode(o.exitCode, told);
    }
    const result = await judge(
      request,
      context,
      (sample) => {
        if (!o.json) print(lineOf(sample));
      },
      queue === undefined
        ? undefined
        : async ({ root }) => {
            const run = await reopenQueueRun(root, 'judge');
            const goOn = 'if this is stopped, judge again';
            return queueOpener(queue, root, run, { device: o.device, goOn })(context);
          },
    );
    const pages = await writeJudged(result, o, context);
    if (o.json) printText(documentText(documentOf(result)));
    else for (const line of summaryOf(result, pages)) print(line);
    const anomalous = anomalousOf(result).length;
    return verdictCode(o.exitCode, { anomalous, leftOut: result.skipped.length });
  },
};

export const judgeCommand: Command = defineCommand(spec);

function folderLineOf(folderLine: FolderLine): string {
  const { verdict, name, pValue = 1, place, page, error, knownPlaces = [] } = folderLine;
  if (verdict === null) return `not judged         ${name}  ${error ?? ''}`;
  const line = lineOf({ verdict, pValue, name, place, knownPlaces });
  return page === undefined ? line : `${line}  ${page}`;
}

function lineOf({
  verdict,
  pValue,
  name,
  place,
  knownPlaces,
}: Pick<JudgedSample, 'verdict' | 'pValue' | 'name' | 'place' | 'knownPlaces'>): string {
  const word = verdict === 'anomalous' ? 'ANOMALOUS' : 'nominal  ';
  const why = place === undefined ? '' : `  ${place}`;
  const passed = passedOverText(knownPlaces);
  const known = passed === undefined ? '' : `  (${passed})`;
  return `${word}  p ${pValue.toFixed(3)}  ${name}${why}${known}`;
}

function anomalousOf({ judged }: JudgeResult): readonly JudgedSample[] {
  return judged.filter(({ verdict }) => verdict === 'anomalous');
}

function summaryOf(result: JudgeResult, pages: readonly string[]): string[] {
  const { judged, skipped, folders } = result;
  const left = skipped.length === 0 ? '' : `, ${skipped.length} left out (named above)`;
  return [
    '',
    `${anomalousOf(result).length} of ${judged.length} samples anomalous${left}`,
    ...folders.map(({ root }) => `Run   ${root}`),
    ...pages.map((page) => `Page  ${page}`),
    ...(pages.length > 0 ? [] : folders.map(({ root }) => `Next: wayward report ${root}`)),
  ];
}

function documentOf({ judged, skipped, folder, folders }: JudgeResult): object {
  const runs = folders.map(({ root }) => root);
  return { schemaVersion: 1, run: folder.root, runs, samples: judged, skipped };
}
