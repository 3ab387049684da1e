import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { decimal, integer, text } from '../../base/options/option.ts';
import { readRunRecord, runFolder } from '../../commands/run/folder.ts';
import { reopenQueueRun } from '../../commands/run/queue-run.ts';
import {
  type SourceName,
  sourceNames,
  sourceOfRun,
  unitOf,
} from '../../commands/samples/source.ts';
import { openLocal } from '../../commands/tasks/open-scheduler.ts';
import { type WatchOptions, watch, watchFolder } from '../../commands/watch.ts';
import type { RunContext } from '../../model/first-layer.ts';
import type { OptionSpec } from '../frame/option.ts';
import type { JudgeOptions } from '../options/judge-flags.ts';
import { lastLine } from '../options/last-line.ts';
import { queueOpener, sameCommand } from '../options/queue-options.ts';
import { cpuOption } from '../options/sample-flags.ts';

/** What `classify` takes to watch a folder. */
export interface WatchWords {
  readonly cpu: string | undefined;
  readonly watch: string | undefined;
  readonly settle: number;
  readonly binDir: readonly string[] | undefined;
  readonly device: string;
  readonly timeout: number | undefined;
  readonly jobs: number | undefined;
  readonly queue: string | undefined;
}

export const watchWords: readonly OptionSpec[] = [
  {
    flags: '--watch <dir>',
    help: 'score samples as they appear in a folder, one JSON line each, until stopped',
    parse: text,
  },
  {
    flags: '--settle <seconds>',
    help: 'watch: a sample is complete when nothing in it has changed for so long',
    parse: decimal(0, 86_400),
    default: 2,
  },
  {
    flags: '--bin-dir <dir>',
    help: "watch: folder of executables and libraries; may be given again [the run's]",
    parse: text,
    repeats: true,
  },
  { ...cpuOption, help: "watch: processor that recorded the traces, as 6/94/3 [the run's]" },
  { flags: '--device <name>', help: 'watch: cpu, webgpu or cuda:N', parse: text, default: 'cpu' },
  {
    flags: '-t, --timeout <seconds>',
    help: 'watch: time to read a sample [any]',
    parse: decimal(0, 1e6, 'open'),
  },
  {
    flags: '-j, --jobs <n>',
    synonyms: ['threads'],
    help: 'watch: processes [cores]',
    parse: integer(1, 256),
  },
];

/** Scores a folder's samples until stopped. @returns the exit code */
export async function watchCommand(
  run: string,
  words: JudgeOptions & WatchWords,
  context: RunContext,
  print: (line: string) => void,
): Promise<number> {
  if (words.method !== 'nominal' || words.load !== undefined || words.save !== undefined) {
    throw new UserError('watch-method', '--watch judges with --method nominal only', {
      category: 'arguments',
    });
  }
  const options = await watchOptions(run, words);
  const home = watchFolder(options);
  const { queue } = words;
  let scheduler: Awaited<ReturnType<typeof openLocal>>;
  if (queue === undefined) {
    scheduler = openLocal(words.jobs ?? availableParallelism(), context);
  } else {
    const noted = await reopenQueueRun(home, 'classify');
    scheduler = await queueOpener(queue, home, noted, {
      device: options.device,
      goOn: sameCommand,
    })(context);
  }
  try {
    context.log.log('info', `watches ${resolve(options.folder)}; verdicts are kept in ${home}`);
    const { judged } = await watch(options, scheduler, context, print, lastLine());
    context.log.log('info', `${judged} samples scored`);
  } finally {
    await scheduler.close();
  }
  return 0;
}

/** What is not given is as it was for the run. */
async function watchOptions(run: string, words: JudgeOptions & WatchWords): Promise<WatchOptions> {
  const record = await readRunRecord(runFolder(resolve(run)));
  if (record === undefined) {
    throw new UserError('no-run', 'holds no run.json: --watch needs the folder of a run', {
      category: 'input',
      path: resolve(run),
    });
  }
  const { binDirs, rawImages, source, process } = record.options;
  const isSource = (value: unknown): value is SourceName =>
    sourceNames.some((name) => name === value);
  const usual = unitOf(record) === 'call' ? 'calls' : 'all';
  return {
    ...{ run, folder: words.watch ?? '', settleSeconds: words.settle },
    ...{ device: words.device, timeout: words.timeout },
    ...{ fpr: words.fpr, features: words.features ?? usual, seed: words.seed },
    binDirs: words.binDir ?? (Array.isArray(binDirs) ? binDirs.map(String) : []),
    rawImages: rawImages === true,
    source: isSource(source) ? source : 'trace',
    process: typeof process === 'string' ? process : undefined,
    cpu: words.cpu ?? sourceOfRun(record.options).cpu,
    // Raw traces count where there are some.
    preprocessed: false,
  };
}
