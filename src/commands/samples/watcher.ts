import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { messageOf, UserError } from '../../base/errors.ts';
import { readSourceSample, type SampleSource } from './source.ts';

/** What a folder looked like, and since when. */
interface Look {
  readonly state: string;
  readonly since: number;
  /** It had not changed for long enough, and was no sample. */
  readonly isNone: boolean;
}

/**
 * Finds samples in a folder once they are complete: a folder that holds all that a sample needs,
 * and in which no name, size or time has changed for `settleSeconds`. Names that begin with a dot or
 * end in `.part` or `.tmp` are passed over, so that a folder can be filled under such a name and then
 * be renamed.
 */
export class SampleWatcher {
  readonly #folder: string;
  readonly #source: SampleSource;
  readonly #settle: number;
  /** Names that are done with, in one way or another. */
  readonly #given: Set<string>;
  readonly #looks: Map<string, Look> = new Map();

  /** @param known  names of samples that are not wanted again */
  constructor(
    folder: string,
    source: SampleSource,
    settleSeconds: number,
    known: Iterable<string>,
  ) {
    this.#folder = resolve(folder);
    this.#source = source;
    this.#settle = settleSeconds * 1000;
    this.#given = new Set(known);
  }

  /**
   * Looks at the folder once.
   *
   * @returns absolute folders of the samples that have become complete, in order of their names
   * @throws UserError `not-readable` when the folder cannot be read
   */
  async look(now: number = performance.now()): Promise<readonly string[]> {
    const names = await this.#names();
    for (const name of this.#looks.keys()) if (!names.includes(name)) this.#looks.delete(name);
    const complete: string[] = [];
    for (const name of names) {
      const directory = join(this.#folder, name);
      const state = await stateOf(directory);
      if (state === undefined) continue;
      const before = this.#looks.get(name);
      const since = before?.state === state ? before.since : now;
      if (since === now) this.#looks.set(name, { state, since, isNone: false });
      if (now - since < this.#settle) continue;
      if (!(await this.#isSample(directory))) {
        this.#looks.set(name, { state, since, isNone: true });
        continue;
      }
      this.#looks.delete(name);
      this.#given.add(name);
      complete.push(directory);
    }
    return complete;
  }

  /** Whether something is there that may become a sample without changing again. */
  get isSettling(): boolean {
    return [...this.#looks.values()].some(({ isNone }) => !isNone);
  }

  async #names(): Promise<readonly string[]> {
    try {
      const entries = await readdir(this.#folder, { withFileTypes: true });
      return entries
        .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
        .map(({ name }) => name)
        .filter((name) => !this.#given.has(name) && !/^\.|\.(?:part|tmp)$/.test(name))
        .sort();
    } catch (cause) {
      throw new UserError('not-readable', `cannot be read: ${messageOf(cause)}`, {
        category: 'input',
        path: this.#folder,
        cause,
      });
    }
  }

  async #isSample(directory: string): Promise<boolean> {
    try {
      await readSourceSample(directory, this.#source);
      return true;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      // Something may still come; what never becomes a sample never has a verdict.
      return false;
    }
  }
}

/** @returns names, sizes and times of a folder's files; `undefined` when it is none, or just goes */
async function stateOf(directory: string): Promise<string | undefined> {
  try {
    const names = (await readdir(directory)).sort();
    const stats = await Promise.all(names.map((name) => stat(join(directory, name))));
    return JSON.stringify(
      names.map((name, i) => [name, stats[i].size, stats[i].mtimeMs, stats[i].ino]),
    );
  } catch {
    return undefined;
  }
}
