import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { showCount } from '../../base/format.ts';
import type { LabelWord } from '../../base/label.ts';
import { choice, decimal, integer, text } from '../../base/option.ts';
import type { BackendChoice } from '../../capture/qemu/backend.ts';
import { type Recorded, record } from '../../capture/record.ts';
import { recordInputs } from '../../capture/record-inputs.ts';
import { type CommandSpec, defineCommand } from '../frame/command.ts';
import { findProgram } from '../options/find-program.ts';
import { labelOptions } from '../options/sample-flags.ts';

interface Options {
  readonly json: boolean;
  readonly out: string;
  readonly binDir: string | undefined;
  readonly label: LabelWord;
  readonly name: string | undefined;
  readonly family: string | undefined;
  readonly inputDir: string | undefined;
  readonly threads: number | undefined;
  readonly timeout: number | undefined;
  readonly maxBlocks: number | undefined;
  readonly stdin: string | undefined;
  readonly skipUntil: string | undefined;
  readonly backend: BackendChoice;
  readonly madeCode: boolean;
}

const spec: CommandSpec<Options> = {
  name: 'record',
  group: 'Capture',
  summary: 'Run a program under QEMU and record its control flow as a sample',
  args: [['<program...>', 'program and its arguments, after "--"; {} stands for the input file']],
  options: [
    {
      flags: '-o, --out <dir>',
      help: "the sample's folder, which must not exist",
      parse: text,
      default: 'sample',
    },
    {
      flags: '--bin-dir <dir>',
      help: 'where the images go [bin beside the folder of the sample]',
      parse: text,
    },
    ...labelOptions,
    { flags: '--name <name>', help: "what it is a run of [the last argument's name]", parse: text },
    {
      flags: '--input-dir <dir>',
      help: 'record one sample for each file in it, into traces/ and bin/ of --out',
      parse: text,
    },
    {
      flags: '-t, --threads <n>',
      help: 'with --input-dir: recordings at the same time [cores]',
      parse: integer(1, 256),
    },
    {
      flags: '--timeout <seconds>',
      help: 'stop the program after this time',
      parse: decimal(0, 86400, 'open'),
    },
    {
      flags: '--stdin <file>',
      help: 'what the program reads on its standard input; with --input-dir {} is the file [nothing]',
      parse: text,
    },
    { flags: '--max-blocks <n>', help: 'stop the program after so many blocks', parse: integer(1) },
    {
      flags: '--skip-until <name>',
      help: 'leave out what runs before this symbol or file',
      parse: text,
    },
    {
      flags: '--backend <name>',
      help: "plugin (fast, needs a C compiler), log (QEMU's own), or auto: the plugin where it can be made",
      parse: choice('auto', 'plugin', 'log'),
      default: 'auto',
    },
    {
      flags: '--no-made-code',
      help: 'do not save code that lies in no file, which a trace of hardware has no bytes of either',
    },
  ],
  examples: [
    ['wayward record -o samples/ls -- ls -l /usr', 'records one run'],
    [
      'wayward record --input-dir pdfs -o samples -- pdftotext {} /dev/null',
      'records one run for each file',
    ],
  ],
  run: async ({ args: [program = '', ...args], options: o, terminal, signal, print }) => {
    const common = {
      command: findProgram(program),
      args,
      label: o.label,
      backend: o.backend,
      saveMadeCode: o.madeCode,
      ...(o.binDir === undefined ? {} : { binDir: o.binDir }),
      ...(o.family === undefined ? {} : { family: o.family }),
      ...(o.timeout === undefined ? {} : { timeoutSeconds: o.timeout }),
      ...(o.maxBlocks === undefined ? {} : { maxBlocks: o.maxBlocks }),
      ...(o.stdin === undefined ? {} : { stdin: o.stdin }),
      ...(o.skipUntil === undefined ? {} : { skipUntil: o.skipUntil }),
      signal,
    };
    if (o.inputDir === undefined) {
      const name = o.name ?? basename(args.at(-1) ?? program);
      const recorded = await record({ ...common, out: o.out, name });
      if (o.json) print(JSON.stringify({ schemaVersion: 1, ...recorded }, undefined, 2));
      else for (const line of describe(recorded)) print(line);
      return 0;
    }
    const jobs = o.threads ?? availableParallelism();
    const results = await recordInputs(
      { ...common, inputDir: o.inputDir, root: o.out, jobs },
      terminal.progress,
    );
    const failed = results.filter((result) => result.error !== undefined);
    for (const { input, error } of failed) terminal.log('warning', `left out: ${input}: ${error}`);
    if (o.json) print(JSON.stringify({ schemaVersion: 1, results }, undefined, 2));
    else print(`${results.length - failed.length} of ${results.length} files recorded in ${o.out}`);
    return failed.length === results.length ? 3 : 0;
  },
};

export const recordCommand: Command = defineCommand(spec);

function describe(recorded: Recorded): string[] {
  const { blocks, end, killedBy, exitCode, forks, replacedBy } = recorded;
  const ended = {
    exit: `exited with ${exitCode ?? '?'}`,
    signal: `was killed by ${killedBy ?? 'a signal'}`,
    timeout: 'was stopped at the time limit',
    limit: 'was stopped at the block limit',
    fork: "was stopped where it forked: QEMU's log cannot tell a child from its parent",
  };
  const lines = [
    `Recorded  ${showCount(blocks.reduce((a, b) => a + b, 0))} blocks in ${blocks.length} thread${blocks.length === 1 ? '' : 's'}, ${showCount(recorded.traceBytes)} bytes of trace, ${recorded.seconds.toFixed(1)} s, ${recorded.backend === 'log' ? "through QEMU's log" : 'through the plugin'}`,
    `Ended     the program ${ended[end]}`,
  ];
  if (forks > 0) lines.push(`Left out  ${forks} forked children`);
  if (replacedBy !== undefined) lines.push(`Left out  what ran after exec of ${replacedBy}`);
  if (recorded.madeCodeBytes > 0) {
    lines.push(`Saved     ${showCount(recorded.madeCodeBytes)} bytes of code that lies in no file`);
  }
  if (recorded.rewrittenPages > 0) {
    lines.push(
      `Changed   ${showCount(recorded.rewrittenPages)} pages of code after they had run: what ran before may decode to gaps`,
    );
  }
  lines.push(`Sample    ${recorded.folder}`);
  return lines;
}
