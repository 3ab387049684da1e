import { readFileSync, statSync } from 'node:fs';
import type { Address } from '../../../base/address.ts';
import type { GuestMap, Range } from '../guest-map.ts';

const mostFileBytes = 1 << 30;

/** Tells code that lies in no file, or not as the file has it, as it is translated. */
export class MadeCodeWatch {
  readonly #map: GuestMap;
  readonly #files: Map<string, Uint8Array | undefined>;
  #range: Range | undefined;
  #version = -1;

  /** @param files  content of files by path, shared by the processes of a program */
  constructor(map: GuestMap, files: Map<string, Uint8Array | undefined>) {
    this.#map = map;
    this.#files = files;
  }

  isMade(start: Address, code: Uint8Array): boolean {
    const range = this.#rangeOf(start);
    if (range === undefined || range.path === '') return true;
    const file = this.#fileOf(range.path);
    if (file === undefined) return true;
    const at = range.offset + (start - range.start);
    return Buffer.compare(code, file.subarray(at, at + code.length)) !== 0;
  }

  #rangeOf(address: Address): Range | undefined {
    const known = this.#range;
    const isCurrent = this.#version === this.#map.codeVersion;
    if (isCurrent && known !== undefined && address >= known.start && address < known.end) {
      return known;
    }
    this.#version = this.#map.codeVersion;
    this.#range = this.#map.find(address);
    return this.#range;
  }

  #fileOf(path: string): Uint8Array | undefined {
    if (!this.#files.has(path)) this.#files.set(path, contentOf(path));
    return this.#files.get(path);
  }
}

/** @returns `undefined` for what is no regular file, or gone: the program names what it likes */
function contentOf(path: string): Uint8Array | undefined {
  try {
    const { size } = statSync(path);
    return statSync(path).isFile() && size <= mostFileBytes ? readFileSync(path) : undefined;
  } catch {
    return undefined;
  }
}
