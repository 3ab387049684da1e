import { type Dirent, realpathSync } from 'node:fs';
import { lstat, readdir, realpath } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { isAbsent, UserError } from '../base/errors.ts';

/** Folders that a job uses. */
export interface JobFolders {
  /** Read with everything that lies directly in them. */
  readonly read: readonly string[];
  /** Single files that are read. */
  readonly files?: readonly string[];
  /** Written to; they need not exist yet. */
  readonly write: readonly string[];
}

/**
 * The folders that a worker was started with. Jobs may name nothing outside, and symbolic links
 * lead nowhere outside: neither those in a path nor those that lie in a folder of a job.
 */
export class Confinement {
  readonly roots: readonly string[];

  /** @throws UserError `root-unreadable` when a root is not there */
  constructor(roots: readonly string[]) {
    this.roots = roots.map((root) => {
      try {
        return realpathSync(root);
      } catch (cause) {
        throw new UserError('root-unreadable', 'is no folder that can be read', {
          category: 'arguments',
          path: resolve(root),
          cause,
        });
      }
    });
  }

  /** @throws UserError `outside-roots`, naming the path */
  async check({ read, files = [], write }: JobFolders): Promise<void> {
    for (const folder of new Set(read)) {
      await this.#checkPath(folder);
      for (const entry of await entriesOf(folder)) {
        if (entry.isSymbolicLink()) await this.#checkPath(join(folder, entry.name));
      }
    }
    for (const file of new Set(files)) await this.#checkPath(file);
    // A file that is renamed into place replaces a link there; it is not written through it.
    for (const folder of new Set(write)) await this.#checkPath(folder);
  }

  async #checkPath(path: string): Promise<void> {
    const real = await realPathOf(path);
    const isInside = this.roots.some(
      (root) => real === root || real.startsWith(root.endsWith(sep) ? root : root + sep),
    );
    if (isInside) return;
    throw new UserError('outside-roots', 'lies outside the folders that this worker may use', {
      category: 'arguments',
      path,
    });
  }
}

async function entriesOf(folder: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch {
    // What cannot be read is told by the job itself.
    return [];
  }
}

/** @returns where a path leads; of one that does not exist, where what does exist of it leads */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const parent = dirname(path);
    const isThere = await lstat(path).then(
      () => true,
      () => false,
    );
    // A link to nowhere or in circles, a file in place of a folder, no permission: not known to be
    // inside.
    if (!isAbsent(error) || isThere || parent === path) return sep;
    return join(await realPathOf(parent), path.slice(parent.length));
  }
}
