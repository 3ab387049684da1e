import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isThere } from '../base/files/exists.ts';
import { readWholeFile } from '../base/files/read.ts';
import { writeFileAtomic } from '../base/files/write.ts';
import { moduleName } from '../image/maps/module-name.ts';

/** A folder of images that many samples share, each content once. */
export class ImageCollection {
  readonly folder: string;
  readonly #names: Map<string, Promise<string>> = new Map();
  /** Files that were put there since the last `keep`. */
  readonly #added: Set<string> = new Set();
  #last: Promise<unknown> = Promise.resolve();

  constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Stores a file.
   *
   * @param own  the name to give it
   * @param bytes  what it holds, where that is known already
   * @returns its name there: `own`, or with a hash when another file has it
   */
  add(path: string, own: string = moduleName(path), bytes?: Uint8Array): Promise<string> {
    const key = `${own}/${path}`;
    let name = this.#names.get(key);
    if (name === undefined) {
      name = this.#store(path, own, bytes);
      this.#names.set(key, name);
    }
    return name;
  }

  /** A sample refers to what is there now. */
  keep(): void {
    this.#added.clear();
  }

  /** Takes away again what was added for a sample that did not come about. */
  async discard(): Promise<void> {
    await this.#last;
    for (const path of this.#added) await rm(path, { force: true });
    this.#added.clear();
    this.#names.clear();
  }

  async #store(path: string, own: string, bytes?: Uint8Array): Promise<string> {
    return this.addBytes(own, bytes ?? (await readWholeFile(path)));
  }

  /** Stores bytes under a name. @returns the name, or the name with a hash when another file has it */
  addBytes(own: string, bytes: Uint8Array): Promise<string> {
    // One after the other: two that find a name free must not both take it.
    const name = this.#last.then(() => this.#place(own, bytes));
    this.#last = name.catch(() => {});
    return name;
  }

  async #place(own: string, bytes: Uint8Array): Promise<string> {
    if (await this.#holds(own, bytes)) return own;
    const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 8);
    const other = `${own}.${hash}`;
    await this.#holds(other, bytes);
    return other;
  }

  /** Stores bytes under a name that is free. @returns whether they are there now */
  async #holds(name: string, bytes: Uint8Array): Promise<boolean> {
    const target = join(this.folder, name);
    if (isThere(target)) return Buffer.compare(bytes, await readWholeFile(target)) === 0;
    await writeFileAtomic(target, bytes);
    this.#added.add(target);
    return true;
  }
}
