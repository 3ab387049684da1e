import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isAbsent, UserError } from '../../base/errors.ts';
import { isThere } from '../../base/files/exists.ts';
import { notReadable } from '../../base/files/failure.ts';

/** The folder of evaluations that a user means, and the run that it belongs to. */
export interface RunPath {
  readonly evaluation: string;
  /** Folder of the run, when there is one. */
  readonly run: string | undefined;
}

/**
 * Finds the evaluations below a path: a run's folder, its `evaluation` folder, or any folder of
 * evaluation files, such as the ancestor's.
 *
 * @throws UserError when there are none
 */
export async function findEvaluations(path: string): Promise<RunPath> {
  const root = resolve(path);
  const inside = join(root, 'evaluation');
  if (isThere(inside)) return { evaluation: inside, run: root };
  let names: string[];
  try {
    names = await readdir(root);
  } catch (cause) {
    if (!isAbsent(cause)) throw notReadable(root, cause);
    throw new UserError('evaluations-unreadable', 'there is no such folder', {
      ...{ category: 'input', path: root, cause },
    });
  }
  if (!names.some((name) => /\.(eval|gz)$/.test(name))) {
    throw new UserError('no-evaluations', 'holds no evaluations; "wayward learn" makes them', {
      category: 'input',
      path: root,
    });
  }
  const parent = resolve(root, '..');
  return { evaluation: root, run: isThere(join(parent, 'run.json')) ? parent : undefined };
}
