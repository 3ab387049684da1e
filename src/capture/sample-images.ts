import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { toMapPath } from '../base/text/line.ts';
import { moduleName } from '../image/maps/module-name.ts';
import type { ImageCollection } from './image-collection.ts';
import { findMadeCode } from './qemu/made-code.ts';
import type { Recording } from './qemu/recording.ts';

/** What a recording knows of its code; the map is changed. */
type RecordedCode = Pick<Recording, 'map' | 'table'>;

/** What files hold, each read once. */
export class FileContents {
  readonly #known: Map<string, Uint8Array | undefined> = new Map();

  /** @returns `undefined` for a file that is gone, as one in memory only, or no regular one */
  of(path: string): Uint8Array | undefined {
    if (!this.#known.has(path)) this.#known.set(path, contentOf(path));
    return this.#known.get(path);
  }
}

/** Keeps the files whose code ran. @returns the memory map, with the names under which they are kept */
export async function saveImages(
  { map }: RecordedCode,
  images: ImageCollection,
  made: ReadonlySet<string>,
  files: FileContents,
  showPath?: (path: string) => string,
): Promise<string> {
  let text = map.text();
  for (const path of map.codeFiles) {
    if (made.has(path)) continue;
    const name = await images.add(path, moduleName(path), files.of(path));
    const shown = showPath?.(path) ?? path;
    const renamed = name === basename(path) ? shown : join(dirname(shown), name);
    if (renamed !== path) {
      text = text.replaceAll(` ${toMapPath(path)}\n`, ` ${toMapPath(renamed)}\n`);
    }
  }
  return text;
}

/** Puts code that ran outside files, or not as they have it, into images and into the map. */
export async function saveMadeCode(
  { table, map }: RecordedCode,
  images: ImageCollection,
  files: FileContents,
  isWanted: boolean,
): Promise<{ names: ReadonlySet<string>; bytes: number; rewrittenPages: number }> {
  const { regions, rewrittenPages } = findMadeCode(table, map, (path) => files.of(path));
  for (const path of map.codeFiles) if (files.of(path) === undefined) map.unname(path);
  const names = new Set<string>();
  if (!isWanted) return { names, bytes: 0, rewrittenPages };
  let total = 0;
  for (const { start, bytes } of regions) {
    const name = await images.addBytes(`[code-${start.toString(16)}]`, bytes);
    map.map(start, start + bytes.length, 5, 0, name);
    names.add(name);
    total += bytes.length;
  }
  return { names, bytes: total, rewrittenPages };
}

function contentOf(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
