import { homedir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../base/errors.ts';
import type { LabelWord } from '../../base/label.ts';
import { text } from '../../base/options/option.ts';
import { showCount } from '../../base/text/format.ts';
import type { PerfImported } from '../../capture/perf/import.ts';
import { importRecordings } from '../../commands/import.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import type { Terminal } from '../frame/terminal.ts';
import { labelOptions } from '../options/sample-flags.ts';

interface Options {
  readonly json: boolean;
  readonly out: string;
  readonly binDir: readonly string[] | undefined;
  readonly buildidDir: string | undefined;
  readonly label: LabelWord;
  readonly name: string | undefined;
  readonly family: string | undefined;
  readonly comm: string | undefined;
  readonly perfScript: boolean;
}

const spec: CommandSpec<Options> = {
  args: [['<file...>', 'files of perf record -e intel_pt//u']],
  options: [
    {
      flags: '-o, --out <dir>',
      help: 'samples go to traces/ in it, one a thread, and what they ran to bin/',
      parse: text,
      default: 'samples',
    },
    {
      flags: '--bin-dir <dir>',
      help: 'copies of the programs and libraries that ran; may be given several times',
      parse: text,
      repeats: true,
    },
    {
      flags: '--buildid-dir <dir>',
      help: "perf's build-id cache, as perf archive fills it [~/.debug]",
      parse: text,
    },
    ...labelOptions,
    { flags: '--name <name>', help: "name of the samples [the file's]", parse: text },
    {
      flags: '--perf-script',
      help: 'the files are branches that perf script printed, with --show-mmap-events --show-task-events',
    },
    {
      flags: '--comm <name>',
      help: 'only threads with this name, or of a program with it',
      parse: text,
    },
  ],
  examples: [
    ['wayward import perf.data', 'makes samples of all threads'],
    [
      'wayward import runs/*.data -o samples --comm pdftotext',
      "makes samples of one program's threads",
    ],
    [
      'perf script --itrace=be -F comm,pid,tid,event,ip,addr,flags --show-mmap-events --show-task-events > branches.txt',
      'prints the branches that perf decodes, where perf.data cannot be had',
    ],
    ['wayward import --perf-script branches.txt', 'makes samples of what perf decoded'],
    [
      'wayward import server.data --bin-dir copied-from-server',
      'takes programs and libraries from a folder',
    ],
  ],
  run: async ({ args: files, options: o, terminal, signal, print, printText }) => {
    if (files.length === 0) {
      throw new UserError('no-files', 'which file? For example: wayward import perf.data', {
        category: 'arguments',
      });
    }
    const results = await importRecordings({
      files,
      root: o.out,
      binDirs: o.binDir ?? [],
      buildIdDir: o.buildidDir ?? join(homedir(), '.debug'),
      label: o.label,
      isPerfScript: o.perfScript,
      progress: terminal.progress,
      signal,
      ...(o.name === undefined ? {} : { name: o.name }),
      ...(o.family === undefined ? {} : { family: o.family }),
      ...(o.comm === undefined ? {} : { comm: o.comm }),
    });
    for (const { error, imported } of results) {
      if (error !== undefined) terminal.log('warning', `left out: ${error}`);
      else if (imported !== undefined) warn(imported, terminal);
    }
    if (o.json) printText(JSON.stringify({ schemaVersion: 1, results }, undefined, 2));
    else for (const { imported } of results) if (imported) describe(imported).forEach(print);
    const made = results.some(({ imported }) =>
      imported?.threads.some(({ folder }) => folder !== undefined),
    );
    return made ? 0 : 5;
  },
};

export const importCommand: Command = defineCommand(spec);

function warn(imported: PerfImported, terminal: Terminal): void {
  const { path, damage, losses, missing, threads } = imported;
  for (const what of damage) terminal.log('warning', `${path}: ${what}`);
  const counts: readonly (readonly [number, string])[] = [
    [losses.truncated, 'times the trace buffer was full (record with a larger one: -m,64M)'],
    [losses.partial, 'times tracing paused, as for a virtual machine'],
    [losses.collisions, 'times another user of Intel PT got in the way'],
    [losses.records, 'records lost by the kernel: threads or mappings may be missing'],
    [losses.unknownRecords, 'records that are not known were passed over'],
    [losses.badMappings, 'mappings make no sense and were left out'],
  ];
  for (const [count, what] of counts) {
    if (count > 0) terminal.log('warning', `${path}: ${showCount(count)} ${what}`);
  }
  for (const { path: mapped, why } of missing) {
    terminal.log('warning', `${mapped}: ${why}; code in it will be a gap`);
  }
  for (const { problem, comm, tid, replacedMappings: replaced } of threads) {
    if (replaced > 0) {
      const what = `${showCount(replaced)} mappings took the place of others`;
      terminal.log('warning', `${comm} ${tid}: ${what}: what ran there before may be a gap`);
    }
    if (problem !== undefined) terminal.log('warning', `left out ${comm} ${tid}: ${problem}`);
  }
}

function describe(imported: PerfImported): string[] {
  const made = imported.threads.filter(({ folder }) => folder !== undefined);
  const bytes = made.reduce((sum, { traceBytes }) => sum + traceBytes, 0);
  const gaps = made.reduce((sum, thread) => sum + thread.gaps, 0);
  const lines = [
    `Imported  ${imported.path}: ${showCount(bytes)} bytes of trace, ${made.length} thread${made.length === 1 ? '' : 's'}, ${showCount(gaps)} place${gaps === 1 ? '' : 's'} with lost trace`,
  ];
  for (const { folder, comm, tid, traceBytes } of made) {
    lines.push(`Sample    ${folder ?? ''}  (${comm} ${tid}, ${showCount(traceBytes)} bytes)`);
  }
  return lines;
}
