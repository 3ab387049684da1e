import { availableParallelism } from 'node:os';
import { basename, resolve } from 'node:path';
import type { LabelWord } from '../../base/label.ts';
import { choice, decimal, integer, type Parse, text } from '../../base/options/option.ts';
import { showCount } from '../../base/text/format.ts';
import type { BackendChoice } from '../../capture/qemu/backend.ts';
import { type Recorded, record, standardEnvironment } from '../../capture/record.ts';
import { type InputResult, recordInputs } from '../../capture/record-inputs.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import { findProgram } from '../options/find-program.ts';
import { labelOptions } from '../options/sample-flags.ts';

type Variable = readonly [name: string, value: string];

const variable: Parse<Variable> = (written) => {
  const at = written.indexOf('=');
  return at > 0
    ? { value: [written.slice(0, at), written.slice(at + 1)] }
    : { problem: 'takes NAME=VALUE' };
};

interface Options {
  readonly json: boolean;
  readonly out: string;
  readonly binDir: string | undefined;
  readonly label: LabelWord;
  readonly name: string | undefined;
  readonly family: string | undefined;
  readonly inputDir: string | undefined;
  readonly jobs: number | undefined;
  readonly timeout: number | undefined;
  readonly maxBlocks: number | undefined;
  readonly stdin: string | undefined;
  readonly env: readonly Variable[] | undefined;
  readonly inheritEnv: boolean;
  readonly skipUntil: string | undefined;
  readonly backend: BackendChoice;
  readonly madeCode: boolean;
}

const spec: CommandSpec<Options> = {
  args: [['<program...>', 'program and its arguments, after "--"; {} stands for the input file']],
  usual: [
    ...['out', 'input-dir', 'label', 'family', 'stdin', 'env', 'inherit-env', 'skip-until'],
    ...['timeout', 'max-blocks', 'jobs', 'bin-dir'],
  ],
  options: [
    {
      flags: '-o, --out <dir>',
      help: "the sample's folder, which must not exist",
      parse: text,
      default: 'sample',
    },
    {
      flags: '--bin-dir <dir>',
      help: 'where the images go [bin beside traces, or beside the sample]',
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
      flags: '-j, --jobs <n>',
      synonyms: ['threads'],
      help: 'with --input-dir: recordings at the same time [cores]',
      parse: integer(1, 256),
    },
    {
      flags: '-t, --timeout <seconds>',
      help: 'stop the program after this time',
      parse: decimal(0, 86400, 'open'),
    },
    {
      flags: '--stdin <file>',
      help: 'what the program reads on its standard input; with --input-dir {} is the file [nothing]',
      parse: text,
    },
    {
      flags: '--env <name=value>',
      help: 'a variable of its environment, which holds PATH and LC_ALL=C only; may be given again',
      parse: variable,
      repeats: true,
    },
    { flags: '--inherit-env', help: 'give it the whole environment of this command' },
    { flags: '--max-blocks <n>', help: 'stop the program after so many blocks', parse: integer(1) },
    {
      flags: '--skip-until <name>',
      help: 'leave out what runs before this function or file',
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
    [
      'wayward record --env LANG=C.UTF-8 --skip-until sort -o samples/x -- sort names',
      "in another locale, from the program's own first code on",
    ],
  ],
  run: async ({
    args: [program = '', ...args],
    options: o,
    terminal,
    signal,
    print,
    printText,
  }) => {
    const common = {
      command: findProgram(program),
      args,
      label: o.label,
      backend: o.backend,
      saveMadeCode: o.madeCode,
      baseEnv: o.inheritEnv ? ownEnvironment() : standardEnvironment,
      env: Object.fromEntries(o.env ?? []),
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
      if (o.json) printText(JSON.stringify({ schemaVersion: 1, ...recorded }, undefined, 2));
      else for (const line of [...describe(recorded), '', nextOf(recorded, o)]) print(line);
      return 0;
    }
    const jobs = o.jobs ?? availableParallelism();
    const results = await recordInputs(
      { ...common, inputDir: o.inputDir, root: o.out, jobs },
      terminal.progress,
    );
    const failed = results.filter((result) => result.error !== undefined);
    for (const { input, error } of failed) terminal.log('warning', `left out: ${input}: ${error}`);
    if (o.json) printText(JSON.stringify({ schemaVersion: 1, results }, undefined, 2));
    else for (const line of summaryOf(results, o)) print(line);
    return failed.length === results.length ? 3 : 0;
  },
};

export const recordCommand: Command = defineCommand(spec);

/** Of this command. Variables of Wayward itself are no business of the program. */
function ownEnvironment(): Readonly<Record<string, string>> {
  const own = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined || name.startsWith('WAYWARD_') ? [] : [[name, value]],
  );
  return Object.fromEntries(own);
}

/** How a run ended, behind "the program" or a number. */
function endOf({ end, exitCode, killedBy }: Recorded): string {
  const ends: Readonly<Record<Recorded['end'], string>> = {
    exit: `exited with ${exitCode ?? '?'}`,
    signal: `killed by ${killedBy ?? 'a signal'}`,
    timeout: 'stopped at the time limit',
    limit: 'stopped at the block limit',
    fork: "stopped where it forked: QEMU's log cannot tell a child from its parent",
  };
  return ends[end];
}

function describe(recorded: Recorded): string[] {
  const { blocks, forks, replacedBy } = recorded;
  const lines = [
    `Recorded  ${showCount(blocks.reduce((a, b) => a + b, 0))} blocks in ${blocks.length} thread${blocks.length === 1 ? '' : 's'}, ${showCount(recorded.traceBytes)} bytes of trace, ${recorded.seconds.toFixed(1)} s, ${recorded.backend === 'log' ? "through QEMU's log" : 'through the plugin'}`,
    `Ended     ${endOf(recorded)}`,
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

/** What can be done with one recording. */
function nextOf({ folder }: Recorded, { binDir }: Options): string {
  const images = binDir === undefined ? '' : ` --bin-dir ${binDir}`;
  return `Next: wayward inspect ${folder}${images}`;
}

/** How the runs of a folder of inputs went, and what can be done with them. */
function summaryOf(results: readonly InputResult[], { out, binDir, label }: Options): string[] {
  const recorded = results.flatMap((result) => result.recorded ?? []);
  const blocks = recorded.flatMap((run) => run.blocks).reduce((sum, n) => sum + n, 0);
  const failed = results.length - recorded.length;
  const lines = [
    `Recorded  ${recorded.length} of ${results.length} inputs, ${showCount(blocks)} blocks, in ${resolve(out)}`,
    `Ended     ${endsOf(recorded)}`,
  ];
  if (failed > 0) lines.push(`Left out  ${failed} inputs, named above`);
  if (recorded.length === 0) return lines.slice(2);
  const images = binDir === undefined ? '' : ` --bin-dir ${binDir}`;
  const next =
    label === 'malicious'
      ? `judge them: wayward judge PROFILE ${out}${images}`
      : `wayward learn ${out}${images}, or wayward judge PROFILE ${out}${images}`;
  return [...lines, '', `Next: ${next}`];
}

/** `40 exited with 0, 2 exited with 1, 1 was killed by SIGSEGV`, the most frequent first. */
function endsOf(recorded: readonly Recorded[]): string {
  const counts = new Map<string, number>();
  for (const run of recorded) {
    const words = endOf(run);
    counts.set(words, (counts.get(words) ?? 0) + 1);
  }
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([words, count]) => `${count} ${words}`)
    .join(', ');
}
