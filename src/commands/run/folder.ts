import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { isAbsent, UserError } from '../../base/errors.ts';
import { makeFolder } from '../../base/files/folder.ts';
import { readJsonFile, writeJsonFile } from '../../base/files/json-file.ts';

/** Where things lie in the folder of one run. */
export interface RunFolder {
  readonly root: string;
  /** What was asked for, what was done, and how it went. */
  readonly record: string;
  readonly sets: string;
  readonly vocabulary: string;
  readonly model: string;
  /** State of a training under way. */
  readonly checkpoint: string;
  /** Counted windows that memory does not hold, while they are counted. */
  readonly windows: string;
  /** What workers have counted, until it is put together. */
  readonly counts: string;
  /** One JSON object a line: loss, accuracy, speed. */
  readonly metrics: string;
  /** One file a trace: what was predicted, what came. */
  readonly evaluation: string;
}

export function runFolder(root: string): RunFolder {
  return {
    root,
    record: join(root, 'run.json'),
    sets: join(root, 'sets.txt'),
    vocabulary: join(root, 'vocabulary'),
    model: join(root, 'model'),
    checkpoint: join(root, 'training.bin'),
    windows: join(root, 'windows'),
    counts: join(root, 'counts'),
    metrics: join(root, 'metrics.ndjson'),
    evaluation: join(root, 'evaluation'),
  };
}

/** Makes `runs/<date>-<time>-<4 hex digits>` below `parent`. */
export async function makeRunFolder(parent: string, now: Date = new Date()): Promise<RunFolder> {
  const stamp = now.toISOString().slice(0, 19).replaceAll(':', '').replace('T', '-');
  const root = join(parent, 'runs', `${stamp}-${randomBytes(2).toString('hex')}`);
  await makeFolder(root);
  return runFolder(root);
}

/** `run.json`: enough to say how a result came about and to make it again. */
export interface RunRecord {
  readonly schemaVersion: 1;
  readonly wayward: string;
  readonly node: string;
  readonly started: string;
  readonly finished: string | undefined;
  readonly options: Readonly<Record<string, unknown>>;
  /** Names of what each phase used. */
  readonly sets: Readonly<Record<string, readonly string[]>>;
  readonly result: Readonly<Record<string, unknown>>;
}

export async function writeRunRecord(folder: RunFolder, record: RunRecord): Promise<void> {
  await writeJsonFile(folder.record, record);
}

/**
 * @returns `undefined` when the folder has none
 * @throws UserError `not-readable`, `file-damaged`, `run-record-damaged`
 */
export async function readRunRecord(folder: RunFolder): Promise<RunRecord | undefined> {
  let record: Record<string, unknown>;
  try {
    record = await readJsonFile(folder.record);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
  const { schemaVersion, options, sets, result } = record;
  const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;
  if (schemaVersion === 1 && [options, sets, result].every(isObject)) {
    return record as unknown as RunRecord;
  }
  const why =
    schemaVersion === 1
      ? 'lacks options, sets or results'
      : `has schema version ${JSON.stringify(schemaVersion)}; this release reads 1`;
  throw new UserError('run-record-damaged', why, { category: 'input', path: folder.record });
}
