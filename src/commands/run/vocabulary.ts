import { isAbsent } from '../../base/errors.ts';
import { Vocabulary } from '../../sequences/vocabulary.ts';
import type { RunFolder } from './folder.ts';

/** @returns the vocabulary of a run; `undefined` when its folder has none. @throws UserError */
export async function findVocabulary(folder: RunFolder): Promise<Vocabulary | undefined> {
  try {
    return await Vocabulary.load(`${folder.vocabulary}.json.gz`);
  } catch (error) {
    if (!isAbsent(error)) throw error;
    return undefined;
  }
}
