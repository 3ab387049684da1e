import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Address } from '../../base/address.ts';
import type { Image } from '../../image/files/image.ts';
import { parseImage } from '../../image/files/parse-image.ts';
import type { GuestMap } from './guest-map.ts';

/** Tells where recording begins: at a function by its symbol, or at the first code of a module. */
export class StartGate {
  readonly #name: string;
  readonly #map: GuestMap;
  readonly #images: Map<string, Image> = new Map();

  /** @param name  a symbol, or the base name of a mapped file */
  constructor(name: string, map: GuestMap) {
    this.#name = name;
    this.#map = map;
  }

  opensAt(address: Address): boolean {
    const range = this.#map.find(address);
    if (range === undefined || range.path === '') return false;
    if (basename(range.path) === this.#name) return true;
    let image = this.#images.get(range.path);
    if (image === undefined) {
      image = parseImage(readFileSync(range.path), false);
      this.#images.set(range.path, image);
    }
    const inFile = range.offset + (address - range.start);
    const segment = image.segments.find(
      ({ fileOffset, length }) => inFile >= fileOffset && inFile < fileOffset + length,
    );
    if (segment === undefined) return false;
    const own = segment.address + (inFile - segment.fileOffset);
    return image.symbols().some((symbol) => symbol.address === own && symbol.name === this.#name);
  }
}
