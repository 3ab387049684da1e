import { UserError } from '../../base/errors.ts';
import { Vocabulary } from '../../sequences/vocabulary.ts';
import type { RunFolder } from './folder.ts';

/** @returns the vocabulary of a run; `undefined` when its folder has none */
export async function findVocabulary(folder: RunFolder): Promise<Vocabulary | undefined> {
  try {
    return await Vocabulary.load(`${folder.vocabulary}.json.gz`);
  } catch (error) {
    if (error instanceof UserError && error.code === 'not-readable') return undefined;
    throw error;
  }
}
