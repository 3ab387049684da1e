import { parseAddress } from '../base/address.ts';
import { mapError, type Region } from './memory-map.ts';

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
 * The table has no end addresses: a region ends where the next one starts. It has neither file
 * offsets nor permissions. Rows of several processes may follow each other; equal rows are merged.
 */
export function parseLdrModules(lines: readonly string[], file: string): Region[] {
  const headerIndex = lines.findIndex((line) => headerOf(line) !== undefined);
  const header = headerOf(lines[headerIndex] ?? '') ?? { baseColumn: 0, isTabbed: false };
  const rows = new Map<number, string>();
  for (let index = headerIndex + 1; index < lines.length; index++) {
    const line = lines[index];
    if (line.trim() === '' || /^[-\s]+$/.test(line)) continue;
    const cells = header.isTabbed ? tabbedCells(line, header.baseColumn) : alignedCells(line);
    if (cells === undefined) {
      throw mapError('map-row', file, index + 1, `no row of ldrmodules: "${line.slice(0, 80)}"`);
    }
    const base = parseAddress(cells.base);
    if (base === undefined) {
      throw mapError('map-address', file, index + 1, `"${cells.base}" is no address`);
    }
    const known = rows.get(base);
    if (known === undefined || known === '') rows.set(base, cells.path);
    else if (cells.path !== '' && cells.path !== known) {
      throw mapError('map-overlap', file, index + 1, `${known} is mapped at ${cells.base}, too`);
    }
  }
  const bases = [...rows.keys()].sort((a, b) => a - b);
  return bases.map((start, index) => ({
    start,
    end: bases[index + 1] ?? (start < endOf32Bit ? endOf32Bit : endOfUserSpace),
    path: rows.get(start) ?? '',
    fileOffset: undefined,
    isExecutable: undefined,
  }));
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
  readonly base: string;
  readonly path: string;
}

/** Volatility 3: `Pid Process Base InLoad InInit InMem MappedPath`, tabs between. */
function tabbedCells(line: string, baseColumn: number): Cells | undefined {
  const cells = line.split('\t').map((cell) => cell.trim());
  const base = cells[baseColumn];
  if (base === undefined || !/^0x[0-9a-f]+$/i.test(base)) return undefined;
  const path = cells.slice(baseColumn + 4).join('\t');
  return { base, path: path === 'N/A' ? '' : path };
}

/** The process name may hold spaces and be cut, so the base address is found by its form. */
function alignedCells(line: string): Cells | undefined {
  const match =
    /^\s*\d+\s+.*?\s(0x[0-9a-f]{8,16})\s+(?:True|False)\s+(?:True|False)\s+(?:True|False)\s?(.*)$/i.exec(
      line,
    );
  if (match === null) return undefined;
  return { base: match[1] ?? '', path: (match[2] ?? '').trim() };
}
