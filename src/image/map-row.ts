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

/** One process of a map's file as it stands there. */
export interface ProcessRows extends MappedProcess {
  readonly rows: readonly MapRow[];
}

export interface MapRow extends Region {
  /** Line of the file, from 1. */
  readonly line: number;
}

/** What a reader of one format throws. @param line  from 1 */
export function mapError(code: string, path: string, line: number, cause: string): UserError {
  return new UserError(code, `line ${line}: ${cause}`, {
    category: 'input',
    path,
    place: `line ${line}`,
  });
}
