import { dirname, join } from 'node:path';
import { moduleName } from '../../image/module-name.ts';
import type { ImageCollection } from '../image-collection.ts';
import type { BuildIdEntry } from './file.ts';
import type { PerfImages } from './images.ts';
import type { CodeMapping } from './processes.ts';

/** A mapped file that was not found, and why. */
export interface MissingImage {
  readonly path: string;
  readonly why: string;
}

/** Writes the memory maps of samples, and puts what they map into the collection. */
export class PerfMapWriter {
  readonly #images: PerfImages;
  readonly #collection: ImageCollection;
  readonly #listed: ReadonlyMap<string, string>;
  readonly #missing: Map<string, string> = new Map();

  /** @param buildIds  what the recording's header lists */
  constructor(images: PerfImages, collection: ImageCollection, buildIds: readonly BuildIdEntry[]) {
    this.#images = images;
    this.#collection = collection;
    this.#listed = new Map(buildIds.map(({ path, buildId }) => [path, buildId]));
  }

  get missing(): MissingImage[] {
    return [...this.#missing].map(([path, why]) => ({ path, why }));
  }

  /** @returns the lines of `/proc/PID/maps`, code only */
  async text(mappings: readonly CodeMapping[]): Promise<string> {
    const lines: string[] = [];
    for (const { start, end, fileOffset, path, buildId } of mappings) {
      const shown = await this.#shown(path, buildId);
      const range = `${hex(start)}-${hex(end)}`;
      lines.push(`${range} r-xp ${hex(fileOffset)} 00:00 0 ${shown}`.trimEnd());
    }
    return `${lines.join('\n')}\n`;
  }

  /** @returns the path whose last component is the file's name in the collection */
  async #shown(path: string, buildId: string | undefined): Promise<string> {
    // The kernel marks files that were deleted since, and names memory that is none `//anon`.
    const known = path.replace(/ \(deleted\)$/, '').replaceAll('\n', '?');
    if (known.startsWith('//')) return '';
    if (known !== '[vdso]' && !/^\/(?!dev\/|memfd:|SYSV|anon_hugepage)/.test(known)) return known;
    const found = await this.#images.find(known, buildId ?? this.#listed.get(path));
    if (found.file === undefined) {
      this.#missing.set(known, found.why);
      return known;
    }
    const own = moduleName(known);
    const name = await this.#collection.add(found.file, own);
    return name === own ? known : join(dirname(known), name);
  }
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
