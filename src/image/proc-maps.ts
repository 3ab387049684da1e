import { parseAddress } from '../base/address.ts';
import { mapError, type Region } from './memory-map.ts';

/** `start-end perms offset dev inode path` */
const row =
  /^([0-9a-f]{1,16})-([0-9a-f]{1,16})\s+(\S{4,5})\s+([0-9a-f]{1,16})\s+\S+\s+\d+(?:\s+(.*))?$/i;

/**
 * Parses `/proc/PID/maps`. Empty lines are skipped.
 *
 * @see proc_pid_maps(5)
 */
export function parseProcMaps(lines: readonly string[], file: string): Region[] {
  const regions: Region[] = [];
  lines.forEach((line, index) => {
    if (line.trim() === '') return;
    const match = row.exec(line.trim());
    if (match === null) {
      throw mapError('map-row', file, index + 1, `no row of a memory map: "${line.slice(0, 80)}"`);
    }
    const [, startText = '', endText = '', perms = '', offsetText = '', path = ''] = match;
    const start = parseAddress(startText);
    const last = parseAddress((BigInt(`0x${endText}`) - 1n).toString(16));
    const fileOffset = parseAddress(offsetText);
    if (start === undefined || last === undefined || fileOffset === undefined) {
      throw mapError('map-address', file, index + 1, 'an address is not canonical in 48 bits');
    }
    if (last < start) {
      throw mapError('map-range-reversed', file, index + 1, 'the range ends before it starts');
    }
    regions.push({
      start,
      end: last + 1,
      // The kernel marks files that were deleted since; their name still says what was mapped.
      path: path.replace(/ \(deleted\)$/, ''),
      fileOffset,
      isExecutable: perms[2] === 'x',
    });
  });
  return regions;
}
