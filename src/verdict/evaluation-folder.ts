import { readdir } from 'node:fs/promises';
import { UserError } from '../base/errors.ts';
import { messageOf, readWholeFile } from '../base/files.ts';
import { Damage } from './byte-reader.ts';
import type { Evaluation } from './evaluation.ts';
import { decodeEvaluation, isEvaluation, unpack } from './evaluation-file.ts';
import { decodeTextEvaluation } from './evaluation-text.ts';

/** A file that was left out, and why. */
export interface SkippedFile {
  readonly path: string;
  readonly reason: string;
}

/** One file of a folder, read or left out. */
export type FolderEntry =
  | { readonly path: string; readonly evaluation: Evaluation }
  | { readonly path: string; readonly skipped: string };

/**
 * Reads a folder's evaluation files one after the other, in order of their names, both formats;
 * files of other kinds (neither `.eval` nor `.gz`) are passed over.
 *
 * An evaluation unpacked takes a few megabytes: callers that need figures only should keep those.
 *
 * @throws UserError `not-readable` when the folder cannot be read
 */
export async function* evaluationsIn(directory: string): AsyncGenerator<FolderEntry> {
  let names: string[];
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    names = entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
  } catch (cause) {
    throw new UserError('not-readable', `cannot be read: ${messageOf(cause)}`, {
      category: 'input',
      path: directory,
      cause,
    });
  }
  const wanted = names.filter((name) => /\.(?:eval|gz)$/.test(name)).sort();
  // The next file is read and unpacked, off this thread, while the caller works on this one.
  let next = load(directory, wanted[0]);
  for (let i = 0; i < wanted.length; i++) {
    const loaded = await next;
    if (i + 1 < wanted.length) next = load(directory, wanted[i + 1]);
    yield decode(`${directory}/${wanted[i]}`, wanted[i], loaded);
  }
}

async function load(directory: string, name: string | undefined): Promise<Uint8Array | Error> {
  if (name === undefined) return new Uint8Array(0);
  try {
    return await unpack(await readWholeFile(`${directory}/${name}`));
  } catch (error) {
    return error as Error;
  }
}

function decode(path: string, name: string, loaded: Uint8Array | Error): FolderEntry {
  try {
    if (loaded instanceof Error) throw loaded;
    const evaluation = isEvaluation(loaded)
      ? decodeEvaluation(loaded)
      : decodeTextEvaluation(loaded, name);
    return { path, evaluation };
  } catch (error) {
    // Anything else is our own mistake.
    if (!(error instanceof Damage || error instanceof UserError)) throw error;
    return { path, skipped: error.message };
  }
}

/** A folder's evaluations, all of one model. */
export interface EvaluationFolder<T> {
  readonly evaluations: readonly T[];
  readonly skipped: readonly SkippedFile[];
  /** `undefined` when the folder holds none. */
  readonly model: string | undefined;
}

/**
 * Reads a whole folder, keeping of each evaluation what `keep` returns.
 *
 * @throws UserError `evaluations-mixed` when they were made by different models or vocabularies,
 *   `not-readable`
 */
export async function readEvaluations<T = Evaluation>(
  directory: string,
  keep: (evaluation: Evaluation) => T = (evaluation) => evaluation as T,
): Promise<EvaluationFolder<T>> {
  const evaluations: T[] = [];
  const skipped: SkippedFile[] = [];
  const models = new Map<string, { count: number; first: string }>();
  for await (const entry of evaluationsIn(directory)) {
    if ('skipped' in entry) {
      skipped.push({ path: entry.path, reason: entry.skipped });
      continue;
    }
    const model = models.get(entry.evaluation.model);
    if (model === undefined) models.set(entry.evaluation.model, { count: 1, first: entry.path });
    else model.count++;
    evaluations.push(keep(entry.evaluation));
  }
  if (models.size > 1) {
    const parts = [...models].map(
      ([name, { count, first }]) => `${count} by model ${name.slice(0, 12)} (first: ${first})`,
    );
    throw new UserError(
      'evaluations-mixed',
      `holds evaluations of ${models.size} models or vocabularies, which cannot be compared: ${parts.join(', ')}`,
      { category: 'input', path: directory },
    );
  }
  return { evaluations, skipped, model: models.keys().next().value };
}
