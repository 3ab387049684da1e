import type { Address } from '../base/address.ts';
import { UserError } from '../base/errors.ts';

/** One row of a memory map. */
export interface Region {
  readonly start: Address;
  /** First address after the region. */
  readonly end: Address;
  /** As the map gives it; empty for unnamed memory. */
  readonly path: string;
  /** Position in the file of the byte at `start`; `undefined` where the map does not say. */
  readonly fileOffset: number | undefined;
  /** `undefined` where the map does not say. */
  readonly isExecutable: boolean | undefined;
}

/** As far as the map says; `/proc/PID/maps` by itself says neither. */
export interface MappedProcess {
  readonly pid: number | undefined;
  readonly name: string;
}

export interface MapRows {
  readonly regions: readonly Region[];
  /** Line of each region in the file, from 1. */
  readonly lines: readonly number[];
}

/** One process of a map's file as it stands there. */
export interface ProcessRows extends MappedProcess, MapRows {}

/** What a reader of one format throws. @param line  from 1 */
export function mapError(code: string, path: string, line: number, cause: string): UserError {
  return new UserError(code, `line ${line}: ${cause}`, {
    category: 'input',
    path,
    place: `line ${line}`,
  });
}

/**
 * One string for each distinct path. A million rows name few files, and a part of a line would keep all
 * the text around it in memory.
 */
export class PathTable {
  readonly #paths: Map<string, string> = new Map();

  /** @returns an equal string that stands for itself */
  get(path: string): string {
    let own = this.#paths.get(path);
    if (own === undefined) {
      own = Buffer.from(path).toString();
      this.#paths.set(own, own);
    }
    return own;
  }
}
