import { parseAddress } from '../base/address.ts';
import { fromMapPath } from '../base/line.ts';
import { type MapRow, mapError, type ProcessRows } from './map-row.ts';
import { moduleName } from './module-name.ts';

/** `start-end perms offset dev inode path` */
const row =
  /^([0-9a-f]{1,16})-([0-9a-f]{1,16})\s+(\S{4,5})\s+([0-9a-f]{1,16})\s+\S+\s+\d+(?:\s+(.*))?$/i;

const readable =
  'read are /proc/PID/maps and smaps, and of Volatility ldrmodules, windows.vadinfo and linux.proc.Maps (-r quick, pretty, csv, json, jsonl)';

/** Below each row, `smaps` says how much of the region is in use: `Rss: 4 kB`, `VmFlags: rd ex`. */
const detail = /^[A-Z]\w*:\s/;

/** What `tail -n +1 /proc/[0-9]*\/maps` writes before each file. */
const heading = /^==> .*?(\d+)\/s?maps <==$/;

/**
 * Parses `/proc/PID/maps` or `smaps`, or several of them, each under a line `==> /proc/PID/maps <==`. Empty
 * lines are skipped. A process has the name of the first file whose code it maps.
 *
 * @see proc_pid_maps(5)
 */
export function parseProcMaps(lines: readonly string[], file: string): ProcessRows[] {
  const processes: { pid: number | undefined; rows: MapRow[] }[] = [{ pid: undefined, rows: [] }];
  lines.forEach((line, index) => {
    if (line.trim() === '' || detail.test(line)) return;
    const pid = heading.exec(line.trim())?.[1];
    if (pid !== undefined) {
      processes.push({ pid: Number(pid), rows: [] });
      return;
    }
    const match = row.exec(line.trim());
    if (match === null) {
      throw mapError(
        'map-row',
        file,
        index + 1,
        `no row of a memory map: "${line.slice(0, 80)}"; ${readable}`,
      );
    }
    const [, startText = '', endText = '', perms = '', offsetText = '', path = ''] = match;
    const start = parseAddress(startText);
    const end = endText.length <= 12 ? Number.parseInt(endText, 16) : 0;
    const last = end > 0 ? end - 1 : parseAddress((BigInt(`0x${endText}`) - 1n).toString(16));
    const fileOffset = parseAddress(offsetText);
    if (start === undefined || last === undefined || fileOffset === undefined) {
      throw mapError('map-address', file, index + 1, 'an address is not canonical in 48 bits');
    }
    if (last < start) {
      throw mapError('map-range-reversed', file, index + 1, 'the range ends before it starts');
    }
    processes.at(-1)?.rows.push({
      line: index + 1,
      start,
      end: last + 1,
      // The kernel marks files that were deleted since; their name still says what was mapped.
      path: fromMapPath(path.replace(/ \(deleted\)$/, '')),
      fileOffset,
      isExecutable: perms[2] === 'x',
    });
  });
  return processes.map(({ pid, rows }) => {
    const program = rows.find(({ isExecutable, path }) => isExecutable && path.startsWith('/'));
    return { pid, name: moduleName(program?.path ?? ''), rows };
  });
}
