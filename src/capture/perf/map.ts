import { dirname, join } from 'node:path';
import { moduleName } from '../../image/maps/module-name.ts';
import type { ImageCollection } from '../image-collection.ts';
import type { PerfImages } from './images.ts';
import type { BuildIdEntry } from './records/file.ts';
import type { CodeMapping } from './records/processes.ts';

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
    for (const mapping of mappings) {
      lines.push(mapLine(mapping, await this.#shown(mapping.path, mapping.buildId)));
    }
    return `${lines.join('\n')}\n`;
  }

  /** @returns the path whose last component is the file's name in the collection */
  async #shown(path: string, buildId: string | undefined): Promise<string> {
    const known = fileOf(path);
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

/**
 * @param shown  path of what is mapped; by default the mapping's own
 * @returns a line of `/proc/PID/maps`, without its end
 */
export function mapLine(
  { start, end, fileOffset, path }: CodeMapping,
  shown: string = fileOf(path),
): string {
  return `${hex(start)}-${hex(end)} r-xp ${hex(fileOffset)} 00:00 0 ${shown}`.trimEnd();
}

/** @returns path of a mapped file, in one line; empty for memory that is none */
function fileOf(path: string): string {
  // The kernel marks files that were deleted since, and names memory that is none `//anon`.
  const known = path.replace(/ \(deleted\)$/, '').replaceAll('\n', '?');
  return known.startsWith('//') ? '' : known;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
