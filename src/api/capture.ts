import { basename } from 'node:path';
import type { LabelWord } from '../base/label.ts';
import { type Recorded, type RecordOptions, record as recordRun } from '../capture/record.ts';
import {
  type ImportOptions,
  type ImportResult,
  importRecordings as importFiles,
} from '../commands/import.ts';
import { type CallOptions, call, checkPath } from './call.ts';

export interface RecordSettings extends Omit<RecordOptions, 'args' | 'label' | 'name' | 'signal'> {
  readonly args?: readonly string[];
  /** Where nothing is said, `unknown`. */
  readonly label?: LabelWord;
  /** What the sample is a run of: where nothing is said, the last argument's name. */
  readonly name?: string;
}

/**
 * Runs a program under QEMU's user mode and writes its control flow as a sample folder.
 *
 * @example
 * await record({ command: '/usr/bin/xmllint', args: ['a.xml'], out: 'recordings/traces/a' });
 *
 * @throws UserError; the signal's reason
 */
export async function record(
  settings: RecordSettings,
  options: CallOptions = {},
): Promise<Recorded> {
  checkPath(settings?.command, 'command');
  checkPath(settings.out, 'out');
  const { args = [], command } = settings;
  const usual = { label: 'unknown', name: basename(args.at(-1) ?? command) } as const;
  return call(options, ({ signal }) =>
    recordRun({ ...usual, ...settings, args, ...(signal === undefined ? {} : { signal }) }),
  );
}

export interface ImportSettings
  extends Omit<ImportOptions, 'files' | 'binDirs' | 'label' | 'progress' | 'signal'> {
  /** Folders with copies of the programs and libraries that ran. */
  readonly binDirs?: readonly string[];
  /** Where nothing is said, `unknown`. */
  readonly label?: LabelWord;
}

/**
 * Makes samples of what Linux perf recorded.
 *
 * @param files  `perf.data` files, or text of `perf script`
 * @throws UserError when there is one file only, and it cannot be imported; the signal's reason
 */
export async function importRecordings(
  files: readonly string[],
  settings: ImportSettings,
  options: CallOptions = {},
): Promise<readonly ImportResult[]> {
  for (const file of files) checkPath(file, 'a file');
  checkPath(settings?.root, 'root');
  const usual = { binDirs: [], label: 'unknown' } as const;
  return call(options, ({ progress, signal }) =>
    importFiles({
      ...{ ...usual, ...settings, files, progress },
      ...(signal === undefined ? {} : { signal }),
    }),
  );
}
