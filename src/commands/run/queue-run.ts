import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { isAbsent, UserError } from '../../base/errors.ts';
import { isThere } from '../../base/files/exists.ts';
import { readJsonFile, writeJsonFile } from '../../base/files/json-file.ts';
import { showValue } from '../../base/text/format.ts';
import { makeRunFolder } from './folder.ts';

/** What was handed in at a queue, so that whoever comes back can go on with it. */
export interface QueueRun {
  readonly schemaVersion: 1;
  readonly command: string;
  /** Identity: jobs of different runs are different jobs. */
  readonly run: string;
  readonly options: Readonly<Record<string, unknown>>;
}

const fileName = 'queue.json';

/** Notes in a run's folder what is handed in. */
export async function noteQueueRun(
  folder: string,
  command: string,
  options: Readonly<Record<string, unknown>>,
): Promise<QueueRun> {
  const run: QueueRun = {
    schemaVersion: 1,
    command,
    run: randomBytes(8).toString('hex'),
    options,
  };
  await writeJsonFile(join(folder, fileName), run);
  return run;
}

/** Makes a run's folder below `parent/runs` for a command that has none otherwise. */
export async function startQueueRun(
  parent: string,
  command: string,
  options: Readonly<Record<string, unknown>>,
): Promise<{ readonly folder: string; readonly run: QueueRun }> {
  const { root } = await makeRunFolder(resolve(parent));
  return { folder: root, run: await noteQueueRun(root, command, options) };
}

/** The run that a folder notes; a new one when it was stopped before it handed anything in. */
export async function reopenQueueRun(folder: string, command: string): Promise<QueueRun> {
  if (isThere(join(folder, fileName))) return readQueueRun(folder, command);
  return noteQueueRun(folder, command, {});
}

/** @throws UserError `file-damaged`; `no-queue-run` when the folder is none, or another command's */
export async function readQueueRun(folder: string, command: string): Promise<QueueRun> {
  const path = join(resolve(folder), fileName);
  const refuse = (why: string, cause?: unknown): UserError =>
    new UserError('no-queue-run', why, { category: 'arguments', path, cause });
  let run: QueueRun;
  try {
    run = (await readJsonFile(path)) as unknown as QueueRun;
  } catch (cause) {
    if (!isAbsent(cause)) throw cause;
    throw refuse(
      'is not there: only a run that was handed in at a queue can be attached to',
      cause,
    );
  }
  if (
    run.schemaVersion !== 1 ||
    typeof run.run !== 'string' ||
    !/^[0-9a-f]{16}$/.test(run.run) ||
    typeof run.options !== 'object' ||
    run.options === null
  ) {
    throw refuse('is no record of this version');
  }
  if (run.command !== command)
    throw refuse(`is a run of "${showValue(run.command)}", not of "${command}"`);
  return run;
}
