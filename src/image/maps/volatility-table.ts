import type { UserError } from '../../base/errors.ts';
import type { MapPiece, MapText } from './map-text.ts';

/** What stands in a column of a row: text, or a whole number of JSON. */
export type Cell = string | number;

/** One row of a table. */
export interface TableRow {
  /** Of the file, from 1. */
  readonly line: number;
  /** Column `Process`; empty where there is none. */
  readonly process: string;
  /** Of the columns that were asked for, in that order. */
  readonly cells: readonly Cell[];
}

/** What to throw for a line that should be a row and is none. */
export type Refuse = (wrong: MapPiece) => UserError;

/** Lines before the header: banners and warnings. */
const mostLinesBefore = 50;

/**
 * A table that Volatility printed, whichever way: Volatility 2's text (aligned columns, a line of
 * dashes under the header), or Volatility 3 with `-r quick` (tabs), `pretty` (` | `), `csv`, `json`,
 * `jsonl`.
 *
 * @param columns  in lower case; a header has all of them
 * @returns rows, read as they are asked for; `undefined` when no such table is there
 * @see volatility3/cli/text_renderer.py
 */
export function parseTable(
  text: MapText,
  columns: readonly string[],
  refuse: Refuse,
): Iterable<TableRow> | undefined {
  if (text.isJson) return jsonTable(text, columns, refuse);
  for (const { line, text: header } of text.lines()) {
    if (line > mostLinesBefore) return undefined;
    for (const split of [splitCsv, splitTabs, splitPretty]) {
      const names = split(header).map((cell) => cell.trim().toLowerCase());
      if (!columns.every((column) => names.includes(column))) continue;
      return rowsBelow(text, line, { names, columns, split }, refuse);
    }
    const names = header.trim().toLowerCase().split(/\s+/);
    if (columns.every((column) => names.includes(column))) {
      return alignedRows(text, line, columns, refuse);
    }
  }
  return undefined;
}

interface Header {
  /** Of all columns, in lower case. */
  readonly names: readonly string[];
  readonly columns: readonly string[];
  readonly split: (line: string) => string[];
}

function* rowsBelow(
  text: MapText,
  headerLine: number,
  { names, columns, split }: Header,
  refuse: Refuse,
): Generator<TableRow> {
  const places = columns.map((column) => names.indexOf(column));
  const process = names.indexOf('process');
  const isDoubled = split === splitCsv && hasDoubledBackslashes(text, headerLine);
  for (const piece of text.lines()) {
    if (piece.line <= headerLine || piece.text.trim() === '') continue;
    const cells = split(isDoubled ? piece.text.replaceAll('\\\\', '\\') : piece.text);
    // Trailing cells may be empty; one cell alone is another kind of line.
    if (cells.length < 2) throw refuse(piece);
    yield {
      line: piece.line,
      process: (cells[process] ?? '').trim(),
      cells: places.map((place) => (cells[place] ?? '').trim()),
    };
  }
}

/** Cells as they stand there, with the white space around them. `-r quick`, the default. */
function splitTabs(line: string): string[] {
  return line.includes('\t') ? line.split('\t') : [];
}

/** `-r pretty`: in front of the first bar stands the depth, as stars. */
function splitPretty(line: string): string[] {
  return line.includes(' | ') ? line.split(' | ').slice(1) : [];
}

/** `-r csv`, RFC 4180 with `TreeDepth` before the plugin's columns. */
function splitCsv(line: string): string[] {
  if (!line.includes(',')) return [];
  if (!line.includes('"')) return line.split(',');
  const cells: string[] = [];
  const cell = /\s*(?:"((?:[^"]|"")*)"|([^,]*))(?:,|$)/gy;
  while (cell.lastIndex < line.length) {
    const match = cell.exec(line);
    if (match === null) return [];
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
  }
  if (line.endsWith(',')) cells.push('');
  return cells;
}

/** Newer Pythons double the backslashes of CSV, older ones do not: in one table all are alike. */
function hasDoubledBackslashes(text: MapText, headerLine: number): boolean {
  for (const { line, text: row } of text.lines()) {
    if (line > headerLine && /(?<!\\)(?:\\\\)*\\(?!\\)/.test(row)) return false;
  }
  return true;
}

/** What `ldrmodules -v` of Volatility 2 prints below a row: the lists that name a module. */
const detailLine = /^\s+(?:Load|Init|Mem) Path:/;

/** `Pid Process Base InLoad InInit InMem MappedPath` */
const alignedRow =
  /^\s*(\d+)\s+(.*?)\s(0x[0-9a-f]{8,16})\s+(?:True|False)\s+(?:True|False)\s+(?:True|False)\s?(.*)$/i;

/**
 * Volatility 2's text of `ldrmodules`. The process' name may hold spaces and be cut, so the base
 * address is found by its form.
 */
function* alignedRows(
  text: MapText,
  headerLine: number,
  columns: readonly string[],
  refuse: Refuse,
): Generator<TableRow> {
  for (const piece of text.lines()) {
    if (piece.line <= headerLine || piece.text.trim() === '') continue;
    if (/^[-\s]+$/.test(piece.text) || detailLine.test(piece.text)) continue;
    const match = alignedRow.exec(piece.text);
    if (match === null) throw refuse(piece);
    const [, pid = '', process = '', base = '', path = ''] = match;
    const cells: Readonly<Record<string, string>> = { pid, base, mappedpath: path.trim() };
    yield {
      line: piece.line,
      process: process.trim(),
      cells: columns.map((column) => cells[column] ?? ''),
    };
  }
}

/** `-r json`, one array over many lines, or `-r jsonl`, one object a line. */
function jsonTable(
  text: MapText,
  columns: readonly string[],
  refuse: Refuse,
): Iterable<TableRow> | undefined {
  const [first] = text.objects();
  const names = first === undefined ? undefined : namesOf(first, columns);
  return names === undefined ? undefined : jsonRows(text, names, refuse);
}

interface JsonNames {
  readonly columns: readonly string[];
  readonly process: string | undefined;
}

/** @returns how the members are spelled that hold the columns */
function namesOf({ text }: MapPiece, columns: readonly string[]): JsonNames | undefined {
  const spelled = new Map(Object.keys(parsed(text) ?? {}).map((key) => [key.toLowerCase(), key]));
  const found = columns.map((column) => spelled.get(column) ?? '');
  return found.includes('') ? undefined : { columns: found, process: spelled.get('process') };
}

function* jsonRows(
  text: MapText,
  { columns, process }: JsonNames,
  refuse: Refuse,
): Generator<TableRow> {
  for (const piece of text.objects()) {
    const row = parsed(piece.text);
    if (row === undefined) throw refuse(piece);
    const cells: Cell[] = [];
    for (const column of columns) {
      const value = row[column];
      if (value === undefined) throw refuse(piece);
      cells.push(cellOf(value));
    }
    const name = process === undefined ? '' : String(cellOf(row[process]));
    yield { line: piece.line, process: name, cells };
  }
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

function cellOf(value: unknown): Cell {
  return typeof value === 'string' || Number.isInteger(value) ? (value as Cell) : '';
}
