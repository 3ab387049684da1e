import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readWholeFile, writeFileAtomic } from '../base/files.ts';
import { moduleName } from '../image/module-name.ts';

/** A folder of images that many samples share, each content once. */
export class ImageCollection {
  readonly #folder: string;
  readonly #names: Map<string, Promise<string>> = new Map();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Stores a file. @returns its name there: its own, or with a hash when another file has it */
  add(path: string): Promise<string> {
    let name = this.#names.get(path);
    if (name === undefined) {
      name = this.#store(path);
      this.#names.set(path, name);
    }
    return name;
  }

  async #store(path: string): Promise<string> {
    const bytes = await readWholeFile(path);
    const own = moduleName(path);
    const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 8);
    for (const name of [own, `${own}.${hash}`]) {
      const target = join(this.#folder, name);
      if (!existsSync(target)) {
        await writeFileAtomic(target, bytes);
        return name;
      }
      if (bytes.equals(await readFile(target))) return name;
    }
    return `${own}.${hash}`;
  }
}
