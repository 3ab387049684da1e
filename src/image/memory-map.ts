import type { Address } from '../base/address.ts';
import { UserError } from '../base/errors.ts';
import { readMaybeGzip } from '../base/files.ts';
import { isLdrModules, parseLdrModules } from './ldrmodules.ts';
import { parseProcMaps } from './proc-maps.ts';

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

/** Which files a traced process had where. Regions are sorted and do not overlap. */
export interface MemoryMap {
  readonly format: 'proc-maps' | 'ldrmodules';
  readonly regions: readonly Region[];
}

/**
 * Reads `mapping.txt[.gz]`: `/proc/PID/maps`, or the `ldrmodules` table of Volatility 2 or 3, told
 * apart by content.
 *
 * @throws UserError naming the file, the line and the cause
 */
export async function readMemoryMap(path: string): Promise<MemoryMap> {
  const bytes = await readMaybeGzip(path);
  return parseMemoryMap(Buffer.from(bytes).toString('utf8'), path);
}

/** @param path  for messages only */
export function parseMemoryMap(text: string, path: string): MemoryMap {
  const lines = text.split(/\r?\n/);
  const format = isLdrModules(lines) ? 'ldrmodules' : 'proc-maps';
  const regions =
    format === 'ldrmodules' ? parseLdrModules(lines, path) : parseProcMaps(lines, path);
  if (regions.length === 0) {
    throw new UserError('map-empty', 'the memory map has no regions', { category: 'input', path });
  }
  regions.sort((a, b) => a.start - b.start || a.end - b.end);
  for (let i = 1; i < regions.length; i++) {
    if (regions[i].start < regions[i - 1].end) {
      const show = ({ start, end, path: name }: Region): string =>
        `${start.toString(16)}-${end.toString(16)} ${name}`.trimEnd();
      throw new UserError(
        'map-overlap',
        `two regions overlap: ${show(regions[i - 1])} and ${show(regions[i])}`,
        { category: 'input', path },
      );
    }
  }
  return { format, regions };
}

/** What a reader of one format throws. @param line  from 1 */
export function mapError(code: string, path: string, line: number, cause: string): UserError {
  return new UserError(code, `line ${line}: ${cause}`, {
    category: 'input',
    path,
    place: `line ${line}`,
  });
}
