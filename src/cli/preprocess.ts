import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { type PreprocessOptions, preprocess } from '../pipeline/preprocess.ts';
import { holdsSamples, isSampleFolder } from '../trace/sample.ts';
import { type CommandSpec, defineCommand } from './command.ts';
import { imageOptions } from './learn.ts';
import { choice, decimal, integer } from './option.ts';

interface Options {
  readonly json: boolean;
  readonly binDir: readonly string[] | undefined;
  readonly rawImages: boolean;
  readonly format: 'wayward' | 'ancestor';
  readonly force: boolean;
  readonly timeout: number | undefined;
  readonly partial: boolean;
  readonly threads: number | undefined;
}

const spec: CommandSpec<Options> = {
  name: 'preprocess',
  group: 'Trace',
  summary: 'Decode raw traces once and store the result beside them',
  args: [['<sample...>', 'folders of samples, or a folder of such folders']],
  options: [
    ...imageOptions,
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
    { flags: '--threads <n>', help: 'worker threads [cores]', parse: integer(1, 256) },
  ],
  examples: [
    ['wayward preprocess samples --bin-dir bin', 'stores every sample that is not stored yet'],
    ['wayward preprocess samples/a bin', 'one sample, in the form of older tools'],
    ['wayward learn samples --bin-dir bin -p', 'learns from what is stored'],
  ],
  run: async ({ args, options: o, terminal, signal, print }) => {
    const results = await preprocess(
      {
        ...(o.binDir === undefined ? withBinDir(args) : { paths: args, binDirs: o.binDir }),
        rawImages: o.rawImages ?? false,
        format: o.format,
        force: o.force ?? false,
        timeout: o.timeout,
        partial: o.partial ?? true,
        workers: o.threads ?? availableParallelism(),
      },
      { log: terminal, progress: terminal.progress, signal },
    );
    const count = (outcome: string): number =>
      results.filter((result) => result.outcome === outcome).length;
    if (o.json) print(JSON.stringify({ schemaVersion: 1, samples: results }, undefined, 2));
    else {
      print(
        `${count('stored')} stored, ${count('present')} stored before, ${count('partial')} with gaps left out, ${count('failed')} failed`,
      );
    }
    return count('failed') > 0 && count('stored') + count('present') === 0 ? 5 : 0;
  },
};

/** The ancestor's form `preprocess SAMPLE BIN_DIR`: the second folder is neither sample nor root. */
function withBinDir(paths: readonly string[]): Pick<PreprocessOptions, 'paths' | 'binDirs'> {
  const [sample = '', last = ''] = paths;
  const isOldForm = paths.length === 2 && isSampleFolder(sample) && !holdsSamples(last);
  return isOldForm ? { paths: [sample], binDirs: [last] } : { paths, binDirs: [] };
}

export const preprocessCommand: Command = defineCommand(spec);
