import { parseAddress } from '../base/address.ts';
import { type MapRow, mapError, type ProcessRows } from './memory-map.ts';

/** Beyond the last module there is no end address; user space of 4-level paging ends here. */
const endOfUserSpace = 2 ** 47;
const endOf32Bit = 2 ** 32;

/** @returns whether these lines hold an `ldrmodules` table: its header names Base and MappedPath */
export function isLdrModules(lines: readonly string[]): boolean {
  return lines.slice(0, 50).some((line) => headerOf(line) !== undefined);
}

/**
 * Parses the `ldrmodules` table of Volatility 2 (aligned columns, a line of dashes under the header)
 * and Volatility 3 (tab-separated).
 *
 * The table has no end addresses: a region ends where the next one of its process starts. It has
 * neither file offsets nor permissions. Rows of several processes may follow each other in any order;
 * equal rows are merged.
 */
export function parseLdrModules(lines: readonly string[], file: string): ProcessRows[] {
  const headerIndex = lines.findIndex((line) => headerOf(line) !== undefined);
  const header = headerOf(lines[headerIndex] ?? '') ?? { baseColumn: 0, isTabbed: false };
  const processes = new Map<number, { name: string; rows: Map<number, Row> }>();
  for (let index = headerIndex + 1; index < lines.length; index++) {
    const text = lines[index];
    if (text.trim() === '' || /^[-\s]+$/.test(text)) continue;
    const line = index + 1;
    const cells = header.isTabbed ? tabbedCells(text, header.baseColumn) : alignedCells(text);
    if (cells === undefined) {
      throw mapError('map-row', file, line, `no row of ldrmodules: "${text.slice(0, 80)}"`);
    }
    const { pid, name, path } = cells;
    const base = parseAddress(cells.base);
    if (base === undefined) {
      throw mapError('map-address', file, line, `"${cells.base}" is no address`);
    }
    const process = processes.get(pid) ?? { name, rows: new Map<number, Row>() };
    processes.set(pid, process);
    const known = process.rows.get(base);
    if (known === undefined || known.path === '') process.rows.set(base, { path, line });
    else if (path !== '' && path !== known.path) {
      const before = `${known.path} is mapped at ${cells.base}, too (line ${known.line})`;
      throw mapError('map-overlap', file, line, before);
    }
  }
  return [...processes].map(([pid, { name, rows }]) => ({ pid, name, rows: withEnds(rows) }));
}

interface Row {
  readonly path: string;
  readonly line: number;
}

function withEnds(rows: ReadonlyMap<number, Row>): MapRow[] {
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

interface Header {
  readonly baseColumn: number;
  readonly isTabbed: boolean;
}

function headerOf(line: string): Header | undefined {
  if (!/^\s*Pid\b.*\bBase\b.*\bMappedPath\b/i.test(line)) return undefined;
  const isTabbed = line.includes('\t');
  const cells = line.split('\t').map((cell) => cell.trim().toLowerCase());
  return { isTabbed, baseColumn: cells.indexOf('base') };
}

interface Cells {
  readonly pid: number;
  readonly name: string;
  readonly base: string;
  readonly path: string;
}

/** Volatility 3: `Pid Process Base InLoad InInit InMem MappedPath`, tabs between. */
function tabbedCells(line: string, baseColumn: number): Cells | undefined {
  const cells = line.split('\t').map((cell) => cell.trim());
  const [pid = '', name = ''] = cells;
  const base = cells[baseColumn];
  if (base === undefined || !/^0x[0-9a-f]+$/i.test(base) || !/^\d+$/.test(pid)) return undefined;
  const path = cells.slice(baseColumn + 4).join('\t');
  return { pid: Number(pid), name, base, path: path === 'N/A' ? '' : path };
}

/** The process name may hold spaces and be cut, so the base address is found by its form. */
function alignedCells(line: string): Cells | undefined {
  const match =
    /^\s*(\d+)\s+(.*?)\s(0x[0-9a-f]{8,16})\s+(?:True|False)\s+(?:True|False)\s+(?:True|False)\s?(.*)$/i.exec(
      line,
    );
  if (match === null) return undefined;
  const [, pid, name = '', base = '', path = ''] = match;
  return { pid: Number(pid), name: name.trim(), base, path: path.trim() };
}
