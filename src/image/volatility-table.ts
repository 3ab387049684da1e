/** One row of a table: its cells by column, the columns' names in lower case. */
export interface TableRow {
  /** Of the file, from 1. */
  readonly line: number;
  readonly cells: Readonly<Record<string, string>>;
}

/**
 * A table that Volatility printed, whichever way: Volatility 2's text (aligned columns, a line of
 * dashes under the header), or Volatility 3 with `-r quick` (tabs), `pretty` (` | `), `csv`, `json`,
 * `jsonl`.
 */
export interface VolatilityTable {
  /** In lower case. */
  readonly columns: readonly string[];
  readonly rows: readonly TableRow[];
  /** Lines that should be rows and are none; the reader says which one. */
  readonly wrong: { readonly line: number; readonly text: string } | undefined;
}

/** Lines before the header: banners and warnings. */
const mostLinesBefore = 50;

/**
 * @param columns  in lower case; a header has all of them
 * @returns `undefined` when no such table is there
 * @see volatility3/cli/text_renderer.py
 */
export function parseTable(
  lines: readonly string[],
  columns: readonly string[],
): VolatilityTable | undefined {
  const first = lines.findIndex((line) => line.trim() !== '');
  if (/^\s*[[{]/.test(lines[first] ?? '')) return jsonTable(lines, columns);
  for (let index = 0; index < Math.min(lines.length, mostLinesBefore); index++) {
    const line = lines[index] ?? '';
    for (const split of [splitCsv, splitTabs, splitPretty]) {
      const header = split(line).map((cell) => cell.toLowerCase());
      if (!columns.every((column) => header.includes(column))) continue;
      return rowsBelow(lines, index, header, split);
    }
    const header = line.trim().toLowerCase().split(/\s+/);
    if (columns.every((column) => header.includes(column)))
      return alignedTable(lines, index, header);
  }
  return undefined;
}

function rowsBelow(
  lines: readonly string[],
  headerIndex: number,
  header: readonly string[],
  split: (line: string) => string[],
): VolatilityTable {
  const rows: TableRow[] = [];
  let wrong: VolatilityTable['wrong'];
  for (let index = headerIndex + 1; index < lines.length; index++) {
    const text = lines[index] ?? '';
    if (text.trim() === '') continue;
    const cells = split(text);
    // Trailing cells may be empty; one cell alone is another kind of line.
    if (cells.length < 2) wrong ??= { line: index + 1, text };
    else rows.push({ line: index + 1, cells: byName(header, cells) });
  }
  return { columns: header, rows: unescaped(rows, split), wrong };
}

function byName(header: readonly string[], cells: readonly string[]): Record<string, string> {
  return Object.fromEntries(header.map((column, i) => [column, cells[i] ?? '']));
}

/** `-r quick`, the default. */
function splitTabs(line: string): string[] {
  return line.includes('\t') ? line.split('\t').map((cell) => cell.trim()) : [];
}

/** `-r pretty`: in front of the first bar stands the depth, as stars. */
function splitPretty(line: string): string[] {
  return line.includes(' | ')
    ? line
        .split(' | ')
        .slice(1)
        .map((cell) => cell.trim())
    : [];
}

/** `-r csv`, RFC 4180 with `TreeDepth` before the plugin's columns. */
function splitCsv(line: string): string[] {
  if (!line.includes(',')) return [];
  const cells: string[] = [];
  const cell = /\s*(?:"((?:[^"]|"")*)"|([^,]*))(?:,|$)/gy;
  while (cell.lastIndex < line.length) {
    const match = cell.exec(line);
    if (match === null) return [];
    cells.push((match[1]?.replaceAll('""', '"') ?? match[2] ?? '').trim());
  }
  if (line.endsWith(',')) cells.push('');
  return cells;
}

/** Newer Pythons double the backslashes of CSV, older ones do not: in one table all are alike. */
function unescaped(rows: readonly TableRow[], split: unknown): readonly TableRow[] {
  if (split !== splitCsv) return rows;
  const isDoubled = rows.every(({ cells }) =>
    Object.values(cells).every((cell) => !/(?<!\\)(?:\\\\)*\\(?!\\)/.test(cell)),
  );
  if (!isDoubled) return rows;
  return rows.map(({ line, cells }) => ({
    line,
    cells: Object.fromEntries(
      Object.entries(cells).map(([name, cell]) => [name, cell.replaceAll('\\\\', '\\')]),
    ),
  }));
}

/** What `ldrmodules -v` of Volatility 2 prints below a row: the lists that name a module. */
const detailLine = /^\s+(?:Load|Init|Mem) Path:/;

/**
 * Volatility 2's text of `ldrmodules`. The process' name may hold spaces and be cut, so the base
 * address is found by its form.
 */
function alignedTable(
  lines: readonly string[],
  headerIndex: number,
  columns: readonly string[],
): VolatilityTable {
  const rows: TableRow[] = [];
  let wrong: VolatilityTable['wrong'];
  for (let index = headerIndex + 1; index < lines.length; index++) {
    const text = lines[index] ?? '';
    if (text.trim() === '' || /^[-\s]+$/.test(text) || detailLine.test(text)) continue;
    const match =
      /^\s*(\d+)\s+(.*?)\s(0x[0-9a-f]{8,16})\s+(?:True|False)\s+(?:True|False)\s+(?:True|False)\s?(.*)$/i.exec(
        text,
      );
    if (match === null) {
      wrong ??= { line: index + 1, text };
      continue;
    }
    const [, pid = '', process = '', base = '', path = ''] = match;
    const cells = { pid, process: process.trim(), base, mappedpath: path.trim() };
    rows.push({ line: index + 1, cells });
  }
  return { columns, rows, wrong };
}

/** `-r json`, one array over many lines, or `-r jsonl`, one object a line. */
function jsonTable(
  lines: readonly string[],
  columns: readonly string[],
): VolatilityTable | undefined {
  const text = lines.join('\n');
  const whole = parsed(text);
  const values: { readonly line: number; readonly value: unknown }[] = Array.isArray(whole)
    ? whole.map((value, i) => ({ line: i + 1, value }))
    : lines.flatMap((line, i) =>
        line.trim() === '' ? [] : [{ line: i + 1, value: parsed(line) }],
      );
  const rows: TableRow[] = [];
  let wrong: VolatilityTable['wrong'];
  for (const { line, value } of values) {
    const cells = typeof value === 'object' && value !== null ? cellsOf(value) : undefined;
    if (cells !== undefined && columns.every((column) => column in cells))
      rows.push({ line, cells });
    else wrong ??= { line, text: lines[line - 1] ?? text };
  }
  return rows.length === 0 ? undefined : { columns, rows, wrong };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Addresses are whole numbers there. */
function cellsOf(value: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(value).map(([name, cell]) => [name.toLowerCase(), String(cell ?? '')]),
  );
}

/**
 * Text of a file that PowerShell (UTF-16) or another tool wrote, with or without a byte order mark.
 */
export function decodeText(bytes: Uint8Array): string {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder('utf-16be').decode(bytes);
  // Without a mark: ASCII in UTF-16 has a zero in every other byte.
  if (bytes[1] === 0 && bytes[3] === 0) return new TextDecoder('utf-16le').decode(bytes);
  if (first === 0 && bytes[2] === 0) return new TextDecoder('utf-16be').decode(bytes);
  return new TextDecoder().decode(bytes);
}
