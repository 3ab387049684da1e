import { UserError } from '../../base/errors.ts';
import type { RegionTable } from './region-table.ts';

/** As far as the map says; `/proc/PID/maps` by itself says neither. */
export interface MappedProcess {
  readonly pid: number | undefined;
  readonly name: string;
}

/** One process of a map's file as it stands there. */
export interface ProcessRows extends MappedProcess {
  readonly regions: RegionTable;
}

/** What a reader of one format throws. @param line  from 1 */
export function mapError(code: string, path: string, line: number, cause: string): UserError {
  return new UserError(code, `line ${line}: ${cause}`, {
    category: 'input',
    path,
    place: `line ${line}`,
  });
}
