import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildName } from '../../base/build-name.ts';
import { mayBeBelieved, removeOldest } from '../../base/files/cache-folder.ts';
import { seal, unseal } from '../../base/files/sealed.ts';
import type { KeptFacts } from '../../evidence/code/process-code.ts';

/** `WCF1`, little-endian. */
const magic = 0x31464357;
/** Magic and number of lists. */
const headWords = 2;
const mostLists = 16;
const mostBytes = 1 << 26;
/** Three for each image; a quarter goes when there are more. */
const mostFiles = 3000;
const nameForm = /^[0-9a-f]{40}\.[a-z]+$/;

/**
 * Facts of images in a folder: a file for each image, by its content, and name. Another build of Wayward finds none of
 * them, for it may find out something else. The folder may go at any time; what cannot be read or written is found out
 * anew.
 *
 * Read and written at once where they are asked for, deep in what is no asynchronous code: a few hundred kilobytes a
 * process.
 */
export class FactsFolder implements KeptFacts {
  readonly #folder: string;
  readonly #build = buildName();
  readonly #digests: WeakMap<Uint8Array, string> = new WeakMap();

  #isCleared = false;

  constructor(folder: string) {
    this.#folder = folder;
  }

  read(image: Uint8Array, name: string): readonly Float64Array[] | undefined {
    const path = this.#pathOf(image, name);
    try {
      const found = lstatSync(path);
      if (!mayBeBelieved(found) || found.size > mostBytes) return undefined;
      return listsIn(unseal(readFileSync(path), path));
    } catch {
      return undefined;
    }
  }

  write(image: Uint8Array, name: string, lists: readonly Float64Array[]): void {
    const head = Int32Array.of(magic, lists.length, ...lists.map(({ length }) => length));
    const bytes = seal(bytesOf(head), ...lists.map(bytesOf));
    const path = this.#pathOf(image, name);
    const part = `${path}.${process.pid}.part`;
    try {
      mkdirSync(this.#folder, { recursive: true });
      writeFileSync(part, bytes, { mode: 0o600 });
      renameSync(part, path);
      this.#clear();
    } catch {
      // A folder that cannot be written keeps nothing.
    }
  }

  /** Once for each process: it writes dozens of files, and the folder is read whole. */
  #clear(): void {
    if (this.#isCleared) return;
    this.#isCleared = true;
    removeOldest(this.#folder, nameForm, mostFiles, (3 / 4) * mostFiles);
  }

  #pathOf(image: Uint8Array, name: string): string {
    let digest = this.#digests.get(image);
    if (digest === undefined) {
      digest = createHash('sha256')
        .update(`${this.#build}\0`)
        .update(image)
        .digest('hex')
        .slice(0, 40);
      this.#digests.set(image, digest);
    }
    return join(this.#folder, `${digest}.${name}`);
  }
}

function listsIn(bytes: Buffer): readonly Float64Array[] | undefined {
  if (bytes.length < 4 * headWords || bytes.readInt32LE(0) !== magic) return undefined;
  const count = bytes.readInt32LE(4);
  if (count < 0 || count > mostLists || bytes.length < 4 * (headWords + count)) return undefined;
  let at = 4 * (headWords + count);
  const lists: Float64Array[] = [];
  for (let i = 0; i < count; i++) {
    const length = bytes.readInt32LE(4 * (headWords + i));
    if (length < 0 || length > (bytes.length - at) / 8) return undefined;
    // A copy, so that the list begins where numbers may.
    lists.push(new Float64Array(Uint8Array.from(bytes.subarray(at, at + 8 * length)).buffer));
    at += 8 * length;
  }
  return at === bytes.length ? lists : undefined;
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array | Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
