import { readdir } from 'node:fs/promises';
import { Damage } from '../base/bytes/byte-reader.ts';
import { messageOf, UserError } from '../base/errors.ts';
import { readWholeFile } from '../base/files/read.ts';
import type { Evaluation } from './evaluation.ts';
import { decodeEvaluation, isEvaluation, unpack } from './file.ts';
import { decodeTextEvaluation } from './text.ts';

/** A file that was left out, and why. */
export interface SkippedFile {
  readonly path: string;
  readonly reason: string;
}

/** One file of a folder, read or left out. */
export type FolderEntry<T> =
  | { readonly path: string; readonly value: T }
  | { readonly path: string; readonly skipped: string };

/** Makes something of a file's bytes, not compressed. @throws Damage */
export type Decode<T> = (bytes: Uint8Array, fileName: string) => T;

/** Reads an evaluation in either format. @throws Damage */
export const decodeWhole: Decode<Evaluation> = (bytes, name) =>
  isEvaluation(bytes) ? decodeEvaluation(bytes) : decodeTextEvaluation(bytes, name);

/**
 * Reads a folder's evaluation files one after the other, in order of their names, both formats;
 * files of other kinds (neither `.eval` nor `.gz`) are passed over.
 *
 * An evaluation unpacked takes a few megabytes: callers that need figures only should keep those.
 *
 * @throws UserError `not-readable` when the folder cannot be read
 */
export function evaluationsIn(directory: string): AsyncGenerator<FolderEntry<Evaluation>> {
  return entriesIn(directory, decodeWhole);
}

/**
 * @returns the names of a folder's evaluation files, in order
 * @throws UserError `not-readable`
 */
export async function listEvaluations(directory: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    const names = entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
    return names.filter((name) => /\.(?:eval|gz)$/.test(name)).sort();
  } catch (cause) {
    throw new UserError('not-readable', `cannot be read: ${messageOf(cause)}`, {
      category: 'input',
      path: directory,
      cause,
    });
  }
}

/** Reads one file of a folder. */
export async function readEntry<T>(
  directory: string,
  name: string,
  decode: Decode<T>,
): Promise<FolderEntry<T>> {
  return entryOf(directory, name, await load(directory, name), decode);
}

async function* entriesIn<T>(directory: string, decode: Decode<T>): AsyncGenerator<FolderEntry<T>> {
  const wanted = await listEvaluations(directory);
  // The next file is read and unpacked, off this thread, while the caller works on this one.
  let next = load(directory, wanted[0]);
  for (let i = 0; i < wanted.length; i++) {
    const loaded = await next;
    if (i + 1 < wanted.length) next = load(directory, wanted[i + 1]);
    yield entryOf(directory, wanted[i], loaded, decode);
  }
}

function entryOf<T>(
  directory: string,
  name: string,
  loaded: Uint8Array | Error,
  decode: Decode<T>,
): FolderEntry<T> {
  const path = `${directory}/${name}`;
  try {
    if (loaded instanceof Error) throw loaded;
    return { path, value: decode(loaded, name) };
  } catch (error) {
    // Anything else is our own mistake.
    if (!(error instanceof Damage || error instanceof UserError)) throw error;
    return { path, skipped: error.message };
  }
}

async function load(directory: string, name: string | undefined): Promise<Uint8Array | Error> {
  if (name === undefined) return new Uint8Array(0);
  try {
    return await unpack(await readWholeFile(`${directory}/${name}`));
  } catch (error) {
    return error instanceof Error ? error : new Error(messageOf(error));
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
 * Reads a whole folder of evaluations.
 *
 * @throws UserError `evaluations-mixed` when they were made by different models or vocabularies,
 *   `not-readable`
 */
export function readEvaluations(directory: string): Promise<EvaluationFolder<Evaluation>> {
  return readFolder(directory, decodeWhole);
}

/** Reads something of each evaluation in a folder. Errors as `readEvaluations`. */
export function readFolder<T extends { readonly model: string }>(
  directory: string,
  decode: Decode<T>,
): Promise<EvaluationFolder<T>> {
  return gather(directory, entriesIn(directory, decode));
}

/**
 * Puts the files of a folder together.
 *
 * @throws UserError `evaluations-mixed`
 */
export async function gather<T extends { readonly model: string }>(
  directory: string,
  entries: AsyncIterable<FolderEntry<T>> | Iterable<FolderEntry<T>>,
): Promise<EvaluationFolder<T>> {
  const evaluations: T[] = [];
  const skipped: SkippedFile[] = [];
  const models = new Map<string, { count: number; first: string }>();
  for await (const entry of entries) {
    if ('skipped' in entry) {
      skipped.push({ path: entry.path, reason: entry.skipped });
      continue;
    }
    const model = models.get(entry.value.model);
    if (model === undefined) models.set(entry.value.model, { count: 1, first: entry.path });
    else model.count++;
    evaluations.push(entry.value);
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
