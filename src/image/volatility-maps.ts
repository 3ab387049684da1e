import { type Address, addressFromBigInt } from '../base/address.ts';
import { type MapRow, mapError, type ProcessRows } from './map-row.ts';
import { parseTable, type TableRow, type VolatilityTable } from './volatility-table.ts';

/** Beyond the last module there is no end address; user space of 4-level paging ends here. */
const endOfUserSpace = 2 ** 47;
const endOf32Bit = 2 ** 32;

/** Plugins of Volatility whose tables say what a process had mapped where. */
export type VolatilityFormat = 'ldrmodules' | 'vadinfo' | 'linux-maps';

interface Plugin {
  readonly format: VolatilityFormat;
  /** Columns that tell its table, in lower case. */
  readonly columns: readonly string[];
  read(rows: readonly TableRow[], file: string): ProcessRows[];
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
 * @throws UserError `map-row`, `map-address`, `map-overlap`
 */
export function parseVolatilityMaps(
  lines: readonly string[],
  file: string,
): { readonly format: VolatilityFormat; readonly processes: ProcessRows[] } | undefined {
  for (const { format, columns, read } of plugins) {
    const table = parseTable(lines, columns);
    if (table === undefined) continue;
    refuseWrongRow(table, file, format);
    return { format, processes: read(table.rows, file) };
  }
  return undefined;
}

function refuseWrongRow({ wrong }: VolatilityTable, file: string, format: string): void {
  if (wrong === undefined) return;
  const text = wrong.text.slice(0, 80);
  throw mapError('map-row', file, wrong.line, `no row of ${format}: "${text}"`);
}

/**
 * `ldrmodules` has no end addresses: a region ends where the next one of its process starts. It has
 * neither file offsets nor permissions. Rows of several processes may follow each other in any order;
 * equal rows are merged.
 */
function readLdrModules(rows: readonly TableRow[], file: string): ProcessRows[] {
  const processes = new Map<number, { name: string; rows: Map<number, Module> }>();
  for (const { line, cells } of rows) {
    const pid = pidOf(cells, file, line);
    const base = addressOf(cells.base, file, line);
    const path = pathOf(cells.mappedpath);
    const process = processes.get(pid) ?? {
      name: cells.process ?? '',
      rows: new Map<number, Module>(),
    };
    processes.set(pid, process);
    const known = process.rows.get(base);
    if (known === undefined || known.path === '') process.rows.set(base, { path, line });
    else if (path !== '' && path !== known.path) {
      const before = `${known.path} is mapped at ${cells.base}, too (line ${known.line})`;
      throw mapError('map-overlap', file, line, before);
    }
  }
  return [...processes].map(([pid, { name, rows: modules }]) => ({
    pid,
    name,
    rows: withEnds(modules),
  }));
}

interface Module {
  readonly path: string;
  readonly line: number;
}

function withEnds(rows: ReadonlyMap<number, Module>): MapRow[] {
  const sorted = [...rows].sort(([a], [b]) => a - b);
  return sorted.map(([start, { path, line }], index) => ({
    start,
    end: Math.min(sorted[index + 1]?.[0] ?? Number.POSITIVE_INFINITY, limitOf(start)),
    path,
    line,
    fileOffset: undefined,
    isExecutable: undefined,
  }));
}

/** No module reaches from kernel space to user space, nor past 4 GiB from below. */
function limitOf(start: number): number {
  if (start < 0) return 0;
  return start < endOf32Bit ? endOf32Bit : endOfUserSpace;
}

type Range = Omit<MapRow, 'line'>;

/** Tables that give each region's end. */
function readRanges(
  rows: readonly TableRow[],
  file: string,
  rangeOf: (row: TableRow, file: string) => Range,
): ProcessRows[] {
  const processes = new Map<number, { name: string; rows: MapRow[] }>();
  for (const row of rows) {
    const pid = pidOf(row.cells, file, row.line);
    const process = processes.get(pid) ?? { name: row.cells.process ?? '', rows: [] };
    processes.set(pid, process);
    const range = rangeOf(row, file);
    if (range.end <= range.start) {
      throw mapError('map-range-reversed', file, row.line, 'the range ends before it starts');
    }
    process.rows.push({ ...range, line: row.line });
  }
  return [...processes].map(([pid, process]) => ({ pid, ...process }));
}

/** `windows.vadinfo`: the last byte of a region, not the first one behind it. */
function rangeOfVad({ cells, line }: TableRow, file: string): Range {
  return {
    start: addressOf(cells['start vpn'], file, line),
    end: addressOf(cells['end vpn'], file, line) + 1,
    path: pathOf(cells.file),
    fileOffset: undefined,
    isExecutable: /EXECUTE/.test(cells.protection ?? ''),
  };
}

/** `linux.proc.Maps`: as `/proc/PID/maps`, the offset in bytes. */
function rangeOfLinux({ cells, line }: TableRow, file: string): Range {
  const path = pathOf(cells['file path']);
  return {
    start: addressOf(cells.start, file, line),
    end: addressOf(cells.end, file, line),
    path: path === 'Anonymous Mapping' ? '' : path,
    fileOffset: addressOf(cells.pgoff, file, line),
    isExecutable: cells.flags?.[2] === 'x',
  };
}

function pidOf(cells: TableRow['cells'], file: string, line: number): number {
  const pid = Number(cells.pid);
  if (/^\d+$/.test(cells.pid ?? '') && Number.isSafeInteger(pid)) return pid;
  throw mapError('map-row', file, line, `"${(cells.pid ?? '').slice(0, 40)}" is no process number`);
}

/** Hexadecimal in text, decimal in JSON. */
function addressOf(text: string | undefined, file: string, line: number): Address {
  const isNumber = /^(?:0x[0-9a-f]{1,16}|\d{1,20})$/i.test(text ?? '');
  const address = isNumber ? addressFromBigInt(BigInt(text ?? '')) : undefined;
  if (address !== undefined) return address;
  throw mapError('map-address', file, line, `"${(text ?? '').slice(0, 40)}" is no address`);
}

/** What Volatility prints where there is no file. */
function pathOf(text: string | undefined): string {
  return text === undefined || /^(?:N\/A|-|None|null)$/.test(text) ? '' : text;
}
