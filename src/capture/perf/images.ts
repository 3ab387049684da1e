import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readHead, readWholeFile } from '../../base/files/read.ts';
import { elfBuildId } from '../../image/files/build-id.ts';
import { moduleName } from '../../image/maps/module-name.ts';

/** Where a mapped file was found, or why it was not. */
export type FoundImage =
  | { readonly file: string }
  | { readonly file: undefined; readonly why: string };

export interface ImagePlaces {
  /** Folders with copies of the files, by base name. */
  readonly binDirs: readonly string[];
  /** perf's own cache, `~/.debug` by default. */
  readonly buildIdDir: string | undefined;
}

/**
 * Finds the files that a traced process ran. A build id, where the recording has one, must match:
 * another version of a library would be decoded to nonsense.
 */
export class PerfImages {
  readonly #places: ImagePlaces;
  readonly #found: Map<string, Promise<FoundImage>> = new Map();

  constructor(places: ImagePlaces) {
    this.#places = places;
  }

  find(path: string, buildId: string | undefined): Promise<FoundImage> {
    const key = `${buildId ?? ''} ${path}`;
    let found = this.#found.get(key);
    if (found === undefined) {
      found = this.#search(path, buildId);
      this.#found.set(key, found);
    }
    return found;
  }

  async #search(path: string, buildId: string | undefined): Promise<FoundImage> {
    const cached = buildId === undefined ? undefined : await this.#inCache(buildId);
    if (cached !== undefined) return { file: cached };
    const copies = this.#places.binDirs.map((folder) => join(folder, moduleName(path)));
    let why = 'no file';
    for (const file of path.startsWith('/') ? [...copies, path] : copies) {
      if (!(await isFile(file))) continue;
      // What somebody else's recording names is copied for good: a key or a list of passwords must not be.
      if (file === path && !copies.includes(path) && !isProgram(file)) {
        why = 'what is there is no program or library (neither ELF nor PE)';
        continue;
      }
      if (buildId === undefined) return { file };
      const own = elfBuildId(await readWholeFile(file));
      if (own === buildId) return { file };
      why = `${file} is another version (build id ${own ?? 'none'}, not ${buildId})`;
    }
    return { file: undefined, why };
  }

  /** `.build-id/ab/cdef...` is a link to a folder with `elf` or `vdso`; to the file itself in older caches. */
  async #inCache(buildId: string): Promise<string | undefined> {
    const { buildIdDir } = this.#places;
    if (buildIdDir === undefined || !/^[0-9a-f]{4,40}$/.test(buildId)) return undefined;
    const link = join(buildIdDir, '.build-id', buildId.slice(0, 2), buildId.slice(2));
    for (const file of [link, join(link, 'elf'), join(link, 'vdso')]) {
      if ((await isFile(file)) && elfBuildId(await readWholeFile(file)) === buildId) return file;
    }
    return undefined;
  }
}

function isProgram(path: string): boolean {
  const head = readHead(path, 4).toString('latin1');
  return head === '\x7fELF' || head.startsWith('MZ');
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
