import { basename, resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { choice, integer, type Parse, text } from '../../base/options/option.ts';
import { showCount } from '../../base/text/format.ts';
import { type ExportFormat, exportFormats, exportSample } from '../../commands/export.ts';
import { outputFile } from '../../commands/samples/output-file.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import { type ReadingFlags, readingOf, readingOptions } from '../options/reading-flags.ts';

interface Options extends ReadingFlags {
  readonly json: boolean;
  readonly format: ExportFormat;
  readonly run: string | undefined;
  readonly patch: number | undefined;
  readonly around: number;
  readonly range: { readonly start: number; readonly end: number } | undefined;
  readonly without: readonly string[] | undefined;
  readonly out: string | undefined;
}

/** Where each format goes, and what opens it. */
const formats: Readonly<Record<ExportFormat, { readonly ending: string; readonly opens: string }>> =
  {
    drcov: { ending: 'drcov', opens: 'Lighthouse in IDA or Binary Ninja, Cartographer in Ghidra' },
    perfetto: { ending: 'perfetto.json', opens: 'https://ui.perfetto.dev' },
    speedscope: { ending: 'speedscope.json', opens: 'https://www.speedscope.app' },
    gecko: { ending: 'gecko.json', opens: 'https://profiler.firefox.com' },
    folded: { ending: 'folded', opens: 'flamegraph.pl, speedscope or inferno' },
  };

/** `FROM..TO`, both inclusive, as reports and `inspect` count blocks. */
const stretch: Parse<{ readonly start: number; readonly end: number }> = (value) => {
  const [, from, to] = /^(\d{1,15})\.\.(\d{1,15})$/.exec(value) ?? [];
  const start = Number(from);
  const end = Number(to) + 1;
  return end > start
    ? { value: { start, end } }
    : { problem: 'takes FROM..TO, two block indices, as in 1200..1800' };
};

const spec: CommandSpec<Options> = {
  args: [['<sample>', "a sample's folder"]],
  options: [
    {
      flags: '--format <kind>',
      help: `${exportFormats.slice(0, -1).join(', ')} or ${exportFormats.at(-1)}`,
      parse: choice(...exportFormats),
      default: 'perfetto',
    },
    ...readingOptions,
    { flags: '--run <run>', help: 'mark what this run of learn flags in the sample', parse: text },
    { flags: '--patch <n>', help: 'cut out the n-th place that --run flags', parse: integer(1) },
    {
      flags: '--around <n>',
      help: 'blocks before and behind a patch, where calls are shown',
      parse: integer(0),
      default: 2000,
    },
    { flags: '--range <from..to>', help: 'cut out these blocks', parse: stretch },
    {
      flags: '--without <sample>',
      help: 'leave out blocks that this run has (drcov); may be repeated',
      parse: text,
      repeats: true,
    },
    {
      flags: '-o, --out <file>',
      help: 'file to write [SAMPLE.<ending of the format>]',
      parse: outputFile,
    },
  ],
  examples: [
    [
      'wayward export ROOT/traces/A --format drcov',
      'the blocks that ran, for Lighthouse, Ghidra, IDA, Binary Ninja',
    ],
    [
      'wayward export ROOT/traces/A --format drcov --without ROOT/traces/B --without ROOT/traces/C',
      'only blocks that B and C did not run',
    ],
    [
      'wayward export ROOT/traces/A --run runs/1 --patch 1',
      'calls around the most suspicious place, for Perfetto',
    ],
    [
      'wayward export ROOT/traces/A --range 1200..1800 --format speedscope',
      'calls of 601 blocks, for speedscope',
    ],
  ],
  run: async ({ args: [sample = ''], options: o, terminal, signal, print, printText }) => {
    const problems: string[] = [];
    if (o.patch !== undefined && o.run === undefined) {
      problems.push('--patch takes --run, the run whose verdict says where it is');
    }
    if (o.patch !== undefined && o.range !== undefined) {
      problems.push('--patch and --range both say what to cut out: give one');
    }
    if (o.without !== undefined && o.format !== 'drcov') {
      problems.push('--without takes --format drcov: only it lists blocks');
    }
    if (problems.length > 0) {
      throw new UserError('bad-options', problems.join('\n'), { category: 'arguments' });
    }
    const { ending, opens } = formats[o.format];
    const result = await exportSample(
      {
        ...readingOf(o),
        sample,
        format: o.format,
        out: o.out ?? `${basename(resolve(sample))}.${ending}`,
        blocks: o.range,
        run: o.run,
        patch: o.patch,
        around: o.around,
        without: o.without ?? [],
      },
      { log: terminal, progress: terminal.progress, signal },
    );
    if (o.json) {
      printText(JSON.stringify({ schemaVersion: 1, ...result }, undefined, 2));
      return 0;
    }
    const places = result.flagged.map(({ name }) => name).join(', ');
    print(
      `${result.out}: ${showCount(result.blocks)} blocks, ${showCount(result.distinctBlocks)} different ones${places === '' ? '' : `; marked: ${places}`}`,
    );
    print(`open it in ${opens}`);
    return 0;
  },
};

export const exportCommand: Command = defineCommand(spec);
