import { formatAddress } from '../../base/address.ts';
import { UserError } from '../../base/errors.ts';
import { readMaybeGzip } from '../../base/files/read.ts';
import { type MappedProcess, mapError } from './map-row.ts';
import { MapText } from './map-text.ts';
import { parseProcMaps } from './proc-maps.ts';
import type { RegionTable } from './region-table.ts';
import { parseVolatilityMaps, type VolatilityFormat } from './volatility-maps.ts';

/** Which files a traced process had where. Regions are sorted and do not overlap. */
export interface MemoryMap {
  readonly format: 'proc-maps' | VolatilityFormat;
  readonly process: MappedProcess;
  readonly regions: RegionTable;
}

/**
 * Reads `mapping.txt[.gz]`: `/proc/PID/maps` or `smaps`, or a table of Volatility (`ldrmodules`,
 * `windows.vadinfo`, `linux.proc.Maps`), told apart by content, in UTF-8 or UTF-16.
 *
 * @returns one map for each process in it, in the order of their first rows
 * @throws UserError naming the file, the line and the cause
 */
export async function readMemoryMaps(path: string): Promise<readonly MemoryMap[]> {
  return parseMemoryMaps(await readMaybeGzip(path), path);
}

/**
 * Reads a map of one process.
 *
 * @throws UserError as `readMemoryMaps`, and `map-of-many` when there are more processes than one
 */
export async function readMemoryMap(path: string): Promise<MemoryMap> {
  return onlyOne(await readMemoryMaps(path), path);
}

/** As `readMemoryMap`. @param path  for messages only */
export function parseMemoryMap(content: Uint8Array | string, path: string): MemoryMap {
  return onlyOne(parseMemoryMaps(content, path), path);
}

/** As `readMemoryMaps`. @param path  for messages only */
export function parseMemoryMaps(content: Uint8Array | string, path: string): readonly MemoryMap[] {
  const text = new MapText(content);
  const { format, processes } = parseVolatilityMaps(text, path) ?? {
    format: 'proc-maps' as const,
    processes: parseProcMaps(text, path),
  };
  const maps = processes
    .filter(({ regions }) => regions.length > 0)
    .map(
      ({ pid, name, regions }): MemoryMap => ({
        format,
        process: { pid, name },
        regions: inOrder(regions, path),
      }),
    );
  if (maps.length > 0) return maps;
  throw new UserError('map-empty', 'the memory map has no regions', { category: 'input', path });
}

function onlyOne(maps: readonly MemoryMap[], path: string): MemoryMap {
  const [map] = maps;
  if (map === undefined || maps.length > 1) {
    throw new UserError('map-of-many', `holds the maps of ${maps.length} processes`, {
      category: 'input',
      path,
    });
  }
  return map;
}

/** @returns the regions, sorted; @throws UserError `map-overlap` */
function inOrder(rows: RegionTable, path: string): RegionTable {
  const regions = rows.sorted();
  const show = (index: number): string => {
    const { start, end, path: name } = regions.at(index);
    const range = `${formatAddress(start)}-${formatAddress(end)}`;
    return `${`${range} ${name}`.trimEnd()} (line ${regions.lineOf(index)})`;
  };
  const after = regions.firstOverlap();
  if (after < 0) return regions;
  const lines = [after - 1, after].map((index) => regions.lineOf(index));
  const cause = `two regions overlap: ${show(after - 1)} and ${show(after)}`;
  throw mapError('map-overlap', path, Math.max(...lines), cause);
}
