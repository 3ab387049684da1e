import { type Address, addressFromBigInt, addressFromHex } from '../../base/address.ts';
import { fromMapPath } from '../../base/text/line.ts';
import { mapError, type ProcessRows } from './map-row.ts';
import type { MapPiece, MapText } from './map-text.ts';
import { moduleName } from './module-name.ts';
import { type Region, RegionTable } from './region-table.ts';

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
 * @throws UserError `map-row`, `map-address`, `map-range-reversed`
 * @see proc_pid_maps(5)
 */
export function parseProcMaps(text: MapText, file: string): ProcessRows[] {
  let process: { readonly pid?: number; readonly regions: RegionTable } = {
    regions: new RegionTable(),
  };
  const processes = [process];
  for (const piece of text.lines()) {
    if (piece.text.trim() === '' || detail.test(piece.text)) continue;
    const pid = piece.text.startsWith('==>') ? heading.exec(piece.text.trim())?.[1] : undefined;
    if (pid === undefined) process.regions.add(parseRow(piece, file), piece.line);
    else {
      process = { pid: Number(pid), regions: new RegionTable() };
      processes.push(process);
    }
  }
  return processes.map(({ pid, regions }) => ({ pid, name: programOf(regions), regions }));
}

function programOf(regions: RegionTable): string {
  for (const { isExecutable, path } of regions) {
    if (isExecutable === true && path.startsWith('/')) return moduleName(path);
  }
  return '';
}

function parseRow({ line, text }: MapPiece, file: string): Region {
  const match = row.exec(text.trim());
  if (match === null) {
    const cause = `no row of a memory map: "${text.slice(0, 80)}"; ${readable}`;
    throw mapError('map-row', file, line, cause);
  }
  const [, startText = '', endText = '', perms = '', offsetText = '', path = ''] = match;
  const start = addressFromHex(startText);
  const last = lastOf(endText);
  const fileOffset = addressFromHex(offsetText);
  if (start === undefined || last === undefined || fileOffset === undefined) {
    throw mapError('map-address', file, line, 'an address is not canonical in 48 bits');
  }
  if (last < start) {
    throw mapError('map-range-reversed', file, line, 'the range ends before it starts');
  }
  return {
    start,
    end: last + 1,
    // The kernel marks files that were deleted since; their name still says what was mapped.
    path: fromMapPath(path.replace(/ \(deleted\)$/, '')),
    fileOffset,
    isExecutable: perms[2] === 'x',
  };
}

/** @returns the last address of a region that ends before `end`, which may be 2^64 and then stands as 0 */
function lastOf(end: string): Address | undefined {
  const short = end.length <= 12 ? Number.parseInt(end, 16) : 0;
  return short > 0 ? short - 1 : addressFromBigInt(BigInt(`0x${end}`) - 1n);
}
