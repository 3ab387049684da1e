import { createHash } from 'node:crypto';
import { UserError } from '../../base/errors.ts';
import type { WindowSet } from '../../sequences/windows.ts';
import { bytesOf, readArrays, writeArrays } from '../array-file.ts';
import type { Lstm } from './lstm.ts';

/**
 * Where an interrupted training run stood: all that decides how it goes on. One file, replaced
 * whole, so that a kill at any moment leaves the last checkpoint.
 */
export interface TrainingCheckpoint<Facts> {
  /** Small things, anything that JSON can hold. */
  readonly facts: Facts;
  readonly parameters: Float32Array;
  /** The optimizer's. */
  readonly squares: Float32Array;
  readonly means: Float32Array;
  /** The best weights so far; empty when they are not kept. */
  readonly bestParameters: Float32Array;
}

/**
 * @param run  identity of the run; see `runIdentity`
 * @throws UserError `write-failed`
 */
export async function writeCheckpoint<Facts>(
  path: string,
  run: string,
  { facts, parameters, squares, means, bestParameters }: TrainingCheckpoint<Facts>,
): Promise<void> {
  const text = JSON.stringify({ run, facts });
  const codes = Int32Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
  await writeArrays(path, [codes, parameters, squares, means, bestParameters]);
}

/** @throws UserError `not-readable`, `file-damaged`, `arrays-damaged`, `checkpoint-of-another-run` */
export async function readCheckpoint<Facts>(
  path: string,
  run: string,
): Promise<TrainingCheckpoint<Facts>> {
  const [codes, parameters, squares, means, bestParameters] = await readArrays(path, 'iffff');
  let text = '';
  for (const code of codes) text += String.fromCharCode(code);
  let content: { run?: unknown; facts?: unknown };
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new UserError('arrays-damaged', 'is no checkpoint', { category: 'input', path, cause });
  }
  if (content.run !== run) {
    throw new UserError(
      'checkpoint-of-another-run',
      'was made with other options, training traces or versions; it can only be resumed with the same',
      { category: 'input', path },
    );
  }
  return { facts: content.facts as Facts, parameters, squares, means, bestParameters };
}

/** @returns a hash of all that decides a run's result: the network, its prior, windows, options */
export function runIdentity(lstm: Lstm, windows: WindowSet, options: unknown): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify({ options, dropout: lstm.options.dropout, seed: lstm.options.seed }));
  // Taken before the first step: with shape and prior, the initial weights are in it.
  hash.update(lstm.fingerprint);
  hash.update(bytesOf(windows.symbols)).update(bytesOf(windows.targets));
  const { buffer, byteOffset, byteLength } = windows.counts;
  hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest('hex');
}
