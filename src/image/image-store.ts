import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, UserError } from '../base/errors.ts';
import { readWholeFile } from '../base/files/read.ts';
import type { Image } from './files/image.ts';
import { parseImage } from './files/parse-image.ts';
import { moduleName, qualifiedName } from './maps/module-name.ts';

/** Where the images of a process come from. */
export interface ImageSource {
  /** @returns the same object for the same file; `undefined` when there is none */
  find(path: string): Promise<Image | undefined>;
  /** @returns the same array for the same part, so that caches can use it as a key */
  part(image: Image, fileOffset: number, length: number): Uint8Array;
}

/** Parts of images, each made once. */
export class ImageParts {
  readonly #parts: WeakMap<Image, Map<string, Uint8Array>> = new WeakMap();

  /** @returns the same array for the same part, so that caches can use it as a key */
  part(image: Image, fileOffset: number, length: number): Uint8Array {
    let parts = this.#parts.get(image);
    if (parts === undefined) {
      parts = new Map();
      this.#parts.set(image, parts);
    }
    const key = `${fileOffset}+${length}`;
    let part = parts.get(key);
    if (part === undefined) {
      part = image.bytes.subarray(fileOffset, fileOffset + length);
      parts.set(key, part);
    }
    return part;
  }
}

/** The files of this machine, as they lie here now: of a process that runs here. */
export class HostImages extends ImageParts implements ImageSource {
  readonly #images: Map<string, Image | undefined> = new Map();

  async find(path: string): Promise<Image | undefined> {
    if (!this.#images.has(path)) this.#images.set(path, await loadHost(path));
    return this.#images.get(path);
  }
}

const mostHostBytes = 1 << 30;

/** A program names what it likes: a file that is none, or gone, has no bytes. */
async function loadHost(path: string): Promise<Image | undefined> {
  try {
    const found = await stat(path);
    if (!found.isFile() || found.size > mostHostBytes) return undefined;
    return parseImage(await readWholeFile(path), false);
  } catch {
    return undefined;
  }
}

/**
 * The executables and libraries of a corpus, found by base name in `--bin-dir` folders and loaded
 * once for all traces that map them.
 */
export class ImageStore extends ImageParts implements ImageSource {
  readonly #folders: readonly string[];
  readonly #isRaw: boolean;
  /** File path by base name, and by lower-case base name behind a `/`, which no name holds. */
  #index: Map<string, string> | undefined;
  readonly #images: Map<string, Promise<Image | undefined>> = new Map();

  /** @param options.rawImages  map every file flat, whatever it looks like */
  constructor(folders: readonly string[], options: { readonly rawImages?: boolean } = {}) {
    super();
    this.#folders = folders;
    this.#isRaw = options.rawImages ?? false;
  }

  /**
   * @param path  as a memory map gives it; Windows names are compared without case
   * @returns `undefined` when no folder holds such a file
   * @throws UserError when a folder or the file cannot be read
   */
  async find(path: string): Promise<Image | undefined> {
    this.#index ??= await this.#list();
    const name = moduleName(path);
    if (name === '') return undefined;
    const qualified = qualifiedName(path);
    const file =
      (qualified === name ? undefined : this.#index.get(`/${qualified.toLowerCase()}`)) ??
      this.#index.get(name) ??
      this.#index.get(`/${name.toLowerCase()}`);
    if (file === undefined) return undefined;
    let image = this.#images.get(file);
    if (image === undefined) {
      image = load(file, this.#isRaw);
      this.#images.set(file, image);
    }
    return image;
  }

  async #list(): Promise<Map<string, string>> {
    const index = new Map<string, string>();
    // The first folder wins, so it is entered last.
    for (const folder of [...this.#folders].reverse()) {
      let names: string[];
      try {
        names = await readdir(folder);
      } catch (cause) {
        throw new UserError('bin-dir-unreadable', `cannot be read: ${messageOf(cause)}`, {
          category: 'input',
          path: folder,
          cause,
        });
      }
      for (const name of names.sort()) {
        index.set(name, join(folder, name));
        index.set(`/${name.toLowerCase()}`, join(folder, name));
        if (name.toLowerCase() !== 'syswow64') continue;
        for (const inner of await filesIn(join(folder, name))) {
          index.set(`/syswow64\\${inner.toLowerCase()}`, join(folder, name, inner));
        }
      }
    }
    return index;
  }
}

/** Names of the plain files in a folder; none of what is no folder, and no links, which lead anywhere. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

async function load(file: string, isRaw: boolean): Promise<Image | undefined> {
  try {
    // Folders are none; at a pipe or a device a reader would wait for ever.
    if (!(await stat(file)).isFile()) return undefined;
    return { ...parseImage(await readWholeFile(file), isRaw), path: file };
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError('image-unreadable', `cannot be read: ${messageOf(cause)}`, {
      category: 'input',
      path: file,
      cause,
    });
  }
}
