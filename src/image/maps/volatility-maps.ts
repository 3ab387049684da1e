import {
  type Address,
  addressFromBigInt,
  addressFromHex,
  formatAddress,
} from '../../base/address.ts';
import { mapError, type ProcessRows } from './map-row.ts';
import type { MapText } from './map-text.ts';
import { type Region, RegionTable } from './region-table.ts';
import { type Cell, parseTable, type Refuse, type TableRow } from './volatility-table.ts';

/** Beyond the last module there is no end address; user space of 4-level paging ends here. */
const endOfUserSpace = 2 ** 47;
const endOf32Bit = 2 ** 32;

/** Plugins of Volatility whose tables say what a process had mapped where. */
export type VolatilityFormat = 'ldrmodules' | 'vadinfo' | 'linux-maps';

interface Plugin {
  readonly format: VolatilityFormat;
  /** Columns that tell its table, in lower case; the first is the process' number. */
  readonly columns: readonly string[];
  read(rows: Iterable<TableRow>, file: string): ProcessRows[];
}

const plugins: readonly Plugin[] = [
  { format: 'ldrmodules', columns: ['pid', 'base', 'mappedpath'], read: readLdrModules },
  {
    format: 'vadinfo',
    columns: ['pid', 'start vpn', 'end vpn', 'protection', 'file'],
    read: (rows, file) => readRanges(rows, file, rangeOfVad),
  },
  {
    format: 'linux-maps',
    columns: ['pid', 'start', 'end', 'flags', 'pgoff', 'file path'],
    read: (rows, file) => readRanges(rows, file, rangeOfLinux),
  },
];

/**
 * Reads tables of Volatility: `ldrmodules` (2 and 3), `windows.vadinfo`, `linux.proc.Maps`, in every
 * form that Volatility prints.
 *
 * @returns `undefined` when the text is no such table
 * @throws UserError `map-row`, `map-address`, `map-overlap`, `map-range-reversed`
 */
export function parseVolatilityMaps(
  text: MapText,
  file: string,
): { readonly format: VolatilityFormat; readonly processes: ProcessRows[] } | undefined {
  for (const { format, columns, read } of plugins) {
    const refuse: Refuse = ({ line, text: row }) =>
      mapError('map-row', file, line, `no row of ${format}: "${row.slice(0, 80)}"`);
    const rows = parseTable(text, columns, refuse);
    if (rows !== undefined) return { format, processes: read(rows, file) };
  }
  return undefined;
}

/** Numbers and names of processes, in the order of their first rows. */
class Processes {
  readonly #byPid: Map<number, ProcessRows> = new Map();
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** @returns the rows of the process that a row is of; @throws UserError `map-row` */
  rowsOf({ cells: [cell = ''], process: name, line }: TableRow): RegionTable {
    const pid = typeof cell === 'number' || /^\d+$/.test(cell) ? Number(cell) : Number.NaN;
    if (!Number.isSafeInteger(pid) || pid < 0) {
      throw mapError('map-row', this.#file, line, `${shown(cell)} is no process number`);
    }
    let process = this.#byPid.get(pid);
    if (process === undefined) {
      process = { pid, name: Buffer.from(name).toString(), regions: new RegionTable() };
      this.#byPid.set(pid, process);
    }
    return process.regions;
  }

  all(): ProcessRows[] {
    return [...this.#byPid.values()];
  }
}

/**
 * `ldrmodules` has no end addresses: a region ends where the next one of its process starts. It has
 * neither file offsets nor permissions. Rows of several processes may follow each other in any order;
 * those of one base are merged.
 */
function readLdrModules(rows: Iterable<TableRow>, file: string): ProcessRows[] {
  const processes = new Processes(file);
  for (const row of rows) {
    const [, base, path] = row.cells;
    const start = addressOf(base, file, row.line);
    processes.rowsOf(row).add(moduleAt(start, start, pathOf(path)), row.line);
  }
  return processes
    .all()
    .map(({ regions, ...process }) => ({ ...process, regions: withEnds(regions.sorted(), file) }));
}

/** @param bases  regions without length, sorted */
function withEnds(bases: RegionTable, file: string): RegionTable {
  const regions = new RegionTable();
  for (let i = 0; i < bases.length; ) {
    const { start } = bases.at(i);
    const first = i;
    let named = first;
    for (i++; i < bases.length && bases.at(i).start === start; i++) {
      named = namedOne(bases, named, i, file);
    }
    const next = i < bases.length ? bases.at(i).start : Number.POSITIVE_INFINITY;
    const { path } = bases.at(named);
    regions.add(moduleAt(start, Math.min(next, limitOf(start)), path), bases.lineOf(first));
  }
  return regions;
}

/** @returns which of two rows of one base has a path; the first where both have the same */
function namedOne(bases: RegionTable, a: number, b: number, file: string): number {
  const [{ start, path }, { path: other }] = [bases.at(a), bases.at(b)];
  if (other === '' || other === path) return a;
  if (path === '') return b;
  const cause = `${path} is mapped at ${formatAddress(start)}, too (line ${bases.lineOf(a)})`;
  throw mapError('map-overlap', file, bases.lineOf(b), cause);
}

function moduleAt(start: Address, end: Address, path: string): Region {
  return { start, end, path, fileOffset: undefined, isExecutable: undefined };
}

/** No module reaches from kernel space to user space, nor past 4 GiB from below. */
function limitOf(start: Address): Address {
  if (start < 0) return 0;
  return start < endOf32Bit ? endOf32Bit : endOfUserSpace;
}

/** Tables that give each region's end. */
function readRanges(
  rows: Iterable<TableRow>,
  file: string,
  rangeOf: (row: TableRow, file: string) => Region,
): ProcessRows[] {
  const processes = new Processes(file);
  for (const row of rows) {
    const range = rangeOf(row, file);
    if (range.end <= range.start) {
      throw mapError('map-range-reversed', file, row.line, 'the range ends before it starts');
    }
    processes.rowsOf(row).add(range, row.line);
  }
  return processes.all();
}

/** `windows.vadinfo`: the last byte of a region, not the first one behind it. */
function rangeOfVad({ cells, line }: TableRow, file: string): Region {
  const [, start, last, protection = '', path] = cells;
  return {
    start: addressOf(start, file, line),
    end: addressOf(last, file, line) + 1,
    path: pathOf(path),
    fileOffset: undefined,
    isExecutable: String(protection).includes('EXECUTE'),
  };
}

/** `linux.proc.Maps`: as `/proc/PID/maps`, the offset in bytes. */
function rangeOfLinux({ cells, line }: TableRow, file: string): Region {
  const [, start, end, flags = '', pageOffset, pathText] = cells;
  const path = pathOf(pathText);
  return {
    start: addressOf(start, file, line),
    end: addressOf(end, file, line),
    path: path === 'Anonymous Mapping' ? '' : path,
    fileOffset: addressOf(pageOffset, file, line),
    isExecutable: String(flags)[2] === 'x',
  };
}

/**
 * Hexadecimal in text, a number in JSON, decimal where that has it as text. Those of the kernel exceed 2^53
 * there, but all are of pages, which a double holds.
 */
function addressOf(cell: Cell = '', file: string, line: number): Address {
  if (typeof cell === 'number' && cell >= 0 && Number.isSafeInteger(cell)) return cell;
  const digits = /^0x([0-9a-f]{1,16})$/i.exec(String(cell))?.[1];
  const address = digits === undefined ? decimal(cell) : addressFromHex(digits);
  if (address !== undefined) return address;
  throw mapError('map-address', file, line, `${shown(cell)} is no address`);
}

function decimal(cell: Cell): Address | undefined {
  const isUnsigned =
    typeof cell === 'number' ? cell >= 0 && cell < 2 ** 64 : /^\d{1,20}$/.test(cell);
  return isUnsigned ? addressFromBigInt(BigInt(cell)) : undefined;
}

/** What Volatility prints where there is no file. */
function pathOf(cell: Cell = ''): string {
  const path = String(cell);
  return /^(?:N\/A|-|None|null)$/.test(path) ? '' : path;
}

function shown(cell: Cell): string {
  return `"${String(cell).slice(0, 40)}"`;
}
