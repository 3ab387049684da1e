import { type Address, addressFromBigInt, addressFromHex } from '../base/address.ts';
import {
  type MappedProcess,
  type MapRows,
  mapError,
  PathTable,
  type ProcessRows,
  type Region,
} from './map-row.ts';
import type { MapText } from './map-text.ts';
import { parseTable, type Refuse, type TableRow } from './volatility-table.ts';

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
class Processes<T> {
  readonly #byPid: Map<number, MappedProcess & { readonly pid: number; readonly rows: T }> =
    new Map();
  readonly #file: string;
  readonly #make: () => T;

  /** @param make  what is kept of a process' rows, without any */
  constructor(file: string, make: () => T) {
    this.#file = file;
    this.#make = make;
  }

  /** @returns what is kept of the process that a row is of; @throws UserError `map-row` */
  rowsOf({ cells: [text = ''], process: name, line }: TableRow): T {
    const pid = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(pid)) {
      throw mapError('map-row', this.#file, line, `"${text.slice(0, 40)}" is no process number`);
    }
    let process = this.#byPid.get(pid);
    if (process === undefined) {
      process = { pid, name: Buffer.from(name).toString(), rows: this.#make() };
      this.#byPid.set(pid, process);
    }
    return process.rows;
  }

  map(toRows: (rows: T) => MapRows): ProcessRows[] {
    return [...this.#byPid.values()].map(({ pid, name, rows }) => ({ pid, name, ...toRows(rows) }));
  }
}

/** Modules of a process, in the order of their first rows. */
interface Modules {
  readonly byBase: Map<Address, number>;
  readonly bases: Address[];
  readonly paths: string[];
  readonly lines: number[];
}

/**
 * `ldrmodules` has no end addresses: a region ends where the next one of its process starts. It has
 * neither file offsets nor permissions. Rows of several processes may follow each other in any order;
 * equal rows are merged.
 */
function readLdrModules(rows: Iterable<TableRow>, file: string): ProcessRows[] {
  const processes = new Processes<Modules>(file, () => ({
    byBase: new Map(),
    bases: [],
    paths: [],
    lines: [],
  }));
  const known = new PathTable();
  for (const row of rows) {
    const { byBase, bases, paths, lines } = processes.rowsOf(row);
    const [, baseText, pathText] = row.cells;
    const base = addressOf(baseText, file, row.line);
    const path = known.get(pathOf(pathText));
    const index = byBase.get(base) ?? bases.length;
    const before = paths[index] ?? '';
    if (before !== '' && path !== '' && path !== before) {
      const cause = `${before} is mapped at ${baseText}, too (line ${lines[index]})`;
      throw mapError('map-overlap', file, row.line, cause);
    }
    if (before !== '') continue;
    byBase.set(base, index);
    bases[index] = base;
    paths[index] = path;
    lines[index] = row.line;
  }
  return processes.map(withEnds);
}

function withEnds({ bases, paths, lines }: Modules): MapRows {
  const order = Uint32Array.from(bases.keys()).sort((a, b) => bases[a] - bases[b]);
  const regions = Array.from(order, (index, i): Region => {
    const start = bases[index];
    const next = bases[order[i + 1]] ?? Number.POSITIVE_INFINITY;
    return {
      start,
      end: Math.min(next, limitOf(start)),
      path: paths[index],
      fileOffset: undefined,
      isExecutable: undefined,
    };
  });
  return { regions, lines: Array.from(order, (index) => lines[index]) };
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
  const processes = new Processes(file, () => ({
    regions: [] as Region[],
    lines: [] as number[],
  }));
  const paths = new PathTable();
  for (const row of rows) {
    const { regions, lines } = processes.rowsOf(row);
    const range = rangeOf(row, file);
    if (range.end <= range.start) {
      throw mapError('map-range-reversed', file, row.line, 'the range ends before it starts');
    }
    regions.push({ ...range, path: paths.get(range.path) });
    lines.push(row.line);
  }
  return processes.map((found) => found);
}

/** `windows.vadinfo`: the last byte of a region, not the first one behind it. */
function rangeOfVad({ cells, line }: TableRow, file: string): Region {
  const [, start, last, protection = '', path] = cells;
  return {
    start: addressOf(start, file, line),
    end: addressOf(last, file, line) + 1,
    path: pathOf(path),
    fileOffset: undefined,
    isExecutable: protection.includes('EXECUTE'),
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
    isExecutable: flags[2] === 'x',
  };
}

/** Hexadecimal in text, decimal in JSON. */
function addressOf(text = '', file: string, line: number): Address {
  // Short ones are exact without BigInt, which a table of a million rows would feel.
  if (/^\d{1,15}$/.test(text)) return Number(text);
  const digits = /^0x([0-9a-f]{1,16})$/i.exec(text)?.[1];
  const address = digits === undefined ? longDecimal(text) : addressFromHex(digits);
  if (address !== undefined) return address;
  throw mapError('map-address', file, line, `"${text.slice(0, 40)}" is no address`);
}

function longDecimal(text: string): Address | undefined {
  return /^\d{16,20}$/.test(text) ? addressFromBigInt(BigInt(text)) : undefined;
}

/** What Volatility prints where there is no file. */
function pathOf(text = ''): string {
  return /^(?:N\/A|-|None|null)$/.test(text) ? '' : text;
}
