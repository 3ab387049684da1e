import { formatAddress } from '../base/address.ts';
import { UserError } from '../base/errors.ts';
import { readMaybeGzip } from '../base/files.ts';
import { type MappedProcess, type MapRow, mapError, type Region } from './map-row.ts';
import { parseProcMaps } from './proc-maps.ts';
import { parseVolatilityMaps, type VolatilityFormat } from './volatility-maps.ts';
import { decodeText } from './volatility-table.ts';

/** Which files a traced process had where. Regions are sorted and do not overlap. */
export interface MemoryMap {
  readonly format: 'proc-maps' | VolatilityFormat;
  readonly process: MappedProcess;
  readonly regions: readonly Region[];
}

/**
 * Reads `mapping.txt[.gz]`: `/proc/PID/maps` or `smaps`, or a table of Volatility (`ldrmodules`,
 * `windows.vadinfo`, `linux.proc.Maps`), told apart by content, in UTF-8 or UTF-16.
 *
 * @returns one map for each process in it, in the order of their first rows
 * @throws UserError naming the file, the line and the cause
 */
export async function readMemoryMaps(path: string): Promise<readonly MemoryMap[]> {
  const bytes = await readMaybeGzip(path);
  return parseMemoryMaps(decodeText(bytes), path);
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
export function parseMemoryMap(text: string, path: string): MemoryMap {
  return onlyOne(parseMemoryMaps(text, path), path);
}

/** @param path  for messages only */
export function parseMemoryMaps(text: string, path: string): readonly MemoryMap[] {
  const lines = text.split(/\r?\n/);
  const { format, processes } = parseVolatilityMaps(lines, path) ?? {
    format: 'proc-maps' as const,
    processes: parseProcMaps(lines, path),
  };
  const maps = processes.map(
    ({ rows, pid, name }): MemoryMap => ({
      format,
      process: { pid, name },
      regions: inOrder(rows, path),
    }),
  );
  if (!maps.some(({ regions }) => regions.length > 0)) {
    throw new UserError('map-empty', 'the memory map has no regions', { category: 'input', path });
  }
  return maps.filter(({ regions }) => regions.length > 0);
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

/** @returns the regions, sorted */
function inOrder(rows: readonly MapRow[], path: string): Region[] {
  const sorted = [...rows].sort((a, b) => a.start - b.start || a.end - b.end);
  for (let i = 1; i < sorted.length; i++) {
    const before = sorted[i - 1];
    const row = sorted[i];
    if (row.start < before.end) {
      const show = ({ start, end, path: name, line }: MapRow): string =>
        `${`${formatAddress(start)}-${formatAddress(end)} ${name}`.trimEnd()} (line ${line})`;
      throw mapError(
        'map-overlap',
        path,
        Math.max(before.line, row.line),
        `two regions overlap: ${show(before)} and ${show(row)}`,
      );
    }
  }
  // Member by member: spreading takes several times as long.
  return sorted.map(({ start, end, path: name, fileOffset, isExecutable }) => ({
    start,
    end,
    path: name,
    fileOffset,
    isExecutable,
  }));
}
