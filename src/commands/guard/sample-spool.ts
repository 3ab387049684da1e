import { closeSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, UserError } from '../../base/errors.ts';
import { removeQuietly } from '../../base/files/folder.ts';
import { writeFileAtomic } from '../../base/files/write.ts';
import { toLine } from '../../base/text/line.ts';
import type { ImageCollection } from '../../capture/image-collection.ts';
import type { Recording } from '../../capture/qemu/recording.ts';
import { FileContents, saveImages, saveMadeCode } from '../../capture/sample-images.ts';

const mostImageBytes = 1 << 30;
/** In place of a file's descriptor: a program may start threads for ever. */
const closed = -1;

/** A sample that is written while its process runs. What is in it at any moment can be judged. */
export class SampleSpool {
  readonly folder: string;
  readonly #images: ImageCollection;
  readonly #name: string;
  readonly #files: Map<number, number> = new Map();
  /** Why no more is written. */
  problem: string | undefined;

  /** @param name  what it is a run of; @throws UserError `write-failed` */
  constructor(folder: string, images: ImageCollection, name: string) {
    this.folder = folder;
    this.#images = images;
    this.#name = name;
    try {
      mkdirSync(folder, { recursive: true });
    } catch (cause) {
      throw new UserError('write-failed', `cannot be made: ${messageOf(cause)}`, {
        ...{ category: 'runtime', path: folder, cause },
      });
    }
  }

  /** A full disk ends the sample, not the guard. */
  write(thread: number, bytes: Uint8Array): void {
    if (this.problem !== undefined) return;
    try {
      let file = this.#files.get(thread);
      if (file === undefined) {
        file = openSync(this.#traceOf(thread), 'wx');
        this.#files.set(thread, file);
      }
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    } catch (error) {
      this.problem = messageOf(error);
    }
  }

  /** No more of a thread comes. */
  endThread(thread: number): void {
    const file = this.#files.get(thread);
    if (file === undefined || file === closed) return;
    closeSync(file);
    this.#files.set(thread, closed);
  }

  /** Writes what makes it a sample so far. */
  async describe({ map, table }: Pick<Recording, 'map' | 'table'>): Promise<void> {
    const code = { map: map.copy(), table };
    for (const path of code.map.codeFiles) if (!isImage(path)) code.map.unname(path);
    const files = new FileContents();
    const { names } = await saveMadeCode(code, this.#images, files, true);
    const text = await saveImages(code, this.#images, names, files);
    await writeFileAtomic(join(this.folder, 'mapping.txt'), text);
    await writeFileAtomic(join(this.folder, 'info.txt'), `${toLine(this.#name)}\nunknown\n`);
  }

  /**
   * @param threads  in the order in which a sample has them
   * @returns traces that there are
   */
  close(threads: readonly number[]): number {
    for (const thread of this.#files.keys()) this.endThread(thread);
    const ran = threads.filter((thread) => this.#files.has(thread));
    if (ran.every((thread, index) => thread === index)) return ran.length;
    for (const thread of ran) renameSync(this.#traceOf(thread), `${this.#traceOf(thread)}.moved`);
    for (const [index, thread] of ran.entries()) {
      renameSync(`${this.#traceOf(thread)}.moved`, this.#traceOf(index));
    }
    return ran.length;
  }

  async remove(): Promise<void> {
    await removeQuietly(this.folder);
  }

  #traceOf(thread: number): string {
    return join(this.folder, `trace_${thread}`);
  }
}

/** A program names what it likes as mapped. */
function isImage(path: string): boolean {
  try {
    const found = statSync(path);
    return found.isFile() && found.size <= mostImageBytes;
  } catch {
    return false;
  }
}
