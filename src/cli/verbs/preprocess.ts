import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { choice, decimal, integer, text } from '../../base/options/option.ts';
import { type PreprocessOptions, preprocess } from '../../commands/preprocess.ts';
import { readQueueRun, startQueueRun } from '../../commands/run/queue-run.ts';
import type { PreprocessedSample } from '../../commands/samples/preprocess.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { holdsSamples, isSampleFolder } from '../../trace/sample.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import {
  attachOption,
  checkQueueOptions,
  type QueueOptions,
  queueOpener,
  queueOption,
} from '../options/queue-options.ts';
import { cpuOption, imageOptions } from '../options/sample-flags.ts';

interface Options extends QueueOptions {
  readonly json: boolean;
  readonly binDir: readonly string[];
  readonly rawImages: boolean;
  readonly process: string | undefined;
  readonly cpu: string | undefined;
  readonly format: 'wayward' | 'ancestor';
  readonly force: boolean;
  readonly timeout: number | undefined;
  readonly partial: boolean;
  readonly jobs: number | undefined;
  readonly out: string;
}

const spec: CommandSpec<Options> = {
  args: [['[sample...]', 'folders of samples, or a folder of such folders']],
  ancestor: {
    preprocess: {
      script: 'preprocess.py',
      letters: { p: 'no-partial' },
      moot: {
        hostname: { takesValue: true, advice: '--queue names a Redis' },
        port: { takesValue: true, advice: '--queue names a Redis' },
        db: { takesValue: true, advice: '--queue names a Redis' },
      },
    },
  },
  options: [
    ...imageOptions,
    cpuOption,
    {
      flags: '--format <kind>',
      help: 'wayward (trace_0.wayward), or ancestor (trace_parsed.gz)',
      parse: choice('wayward', 'ancestor'),
      default: 'wayward',
    },
    { flags: '-f, --force', help: 'decode again what is stored already' },
    {
      flags: '-t, --timeout <seconds>',
      help: 'time for a sample [any]',
      parse: decimal(0, 1e6, 'open'),
    },
    { flags: '--no-partial', help: 'store no sample whose trace has gaps' },
    {
      flags: '-j, --jobs <n>',
      synonyms: ['threads'],
      help: 'processes of this machine [cores]',
      parse: integer(1, 256),
    },
    queueOption,
    attachOption,
    {
      flags: '-o, --out <dir>',
      help: 'folder in which runs/ is made for a queue',
      parse: text,
      default: '.',
    },
  ],
  examples: [
    ['wayward preprocess samples', 'stores every sample that is not stored yet'],
    ['wayward preprocess samples/a bin', 'one sample, in the form of older tools'],
    ['wayward learn samples -p', 'learns from what is stored'],
    ['wayward preprocess samples --queue redis://HOST', 'lets all workers at that queue do it'],
  ],
  run: async ({ args, options: o, terminal, signal, print, printText }) => {
    checkQueueOptions(o);
    const context = { log: terminal, progress: terminal.progress, signal };
    const results =
      o.queue === undefined
        ? await preprocess(preprocessOptions(args, o), context)
        : await preprocessQueued(args, o, o.queue, context);
    const count = (outcome: string): number =>
      results.filter((result) => result.outcome === outcome).length;
    if (o.json) printText(JSON.stringify({ schemaVersion: 1, samples: results }, undefined, 2));
    else {
      const withGaps = results.filter(({ outcome, gaps }) => outcome === 'stored' && gaps > 0);
      const some = withGaps.length > 0 ? ` (${withGaps.length} of them with gaps)` : '';
      print(
        `${count('stored')} stored${some}, ${count('present')} stored before, ${count('partial')} with gaps left out, ${count('failed')} failed`,
      );
    }
    return count('failed') > 0 && count('stored') + count('present') === 0 ? 5 : 0;
  },
};

function preprocessOptions(args: readonly string[], o: Options): PreprocessOptions {
  if (args.length === 0) {
    throw new UserError('no-samples', 'preprocess needs folders of samples', {
      category: 'arguments',
    });
  }
  const { paths, binDirs } =
    o.binDir.length === 0 ? withBinDir(args) : { paths: args, binDirs: o.binDir };
  return {
    paths: paths.map((path) => resolve(path)),
    binDirs: binDirs.map((path) => resolve(path)),
    rawImages: o.rawImages,
    process: o.process,
    cpu: o.cpu,
    format: o.format,
    force: o.force,
    timeout: o.timeout,
    partial: o.partial,
    workers: o.jobs ?? availableParallelism(),
  };
}

async function preprocessQueued(
  args: readonly string[],
  o: Options,
  url: string,
  context: RunContext,
): Promise<readonly PreprocessedSample[]> {
  if (o.attach !== undefined) {
    const folder = resolve(o.attach);
    const run = await readQueueRun(folder, 'preprocess');
    const options = run.options as unknown as PreprocessOptions;
    return preprocess(options, context, queueOpener(url, folder, run));
  }
  const options = preprocessOptions(args, o);
  const { folder, run } = await startQueueRun(o.out, 'preprocess', { ...options });
  return preprocess(options, context, queueOpener(url, folder, run));
}

/** The ancestor's form `preprocess SAMPLE BIN_DIR`: the second folder is neither sample nor root. */
function withBinDir(paths: readonly string[]): Pick<PreprocessOptions, 'paths' | 'binDirs'> {
  const [sample = '', last = ''] = paths;
  const isOldForm = paths.length === 2 && isSampleFolder(sample) && !holdsSamples(last);
  return isOldForm ? { paths: [sample], binDirs: [last] } : { paths, binDirs: [] };
}

export const preprocessCommand: Command = defineCommand(spec);
