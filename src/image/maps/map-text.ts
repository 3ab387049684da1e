/** A line of a map's file, or a JSON value in it. */
export interface MapPiece {
  /** Where it starts, from 1. */
  readonly line: number;
  readonly text: string;
}

/** Short enough to stay in a cache, long enough that the calls cost nothing. */
const defaultPieceBytes = 1 << 16;
/** Linux ends paths at 4 kB, Windows at 64 kB: no row of a map is longer. */
const longestObject = 1 << 20;

const newline = 0x0a;
const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const [openBracket, closeBracket] = [0x5b, 0x5d];
const [openBrace, closeBrace] = [0x7b, 0x7d];

/**
 * The text of a map's file, given piece by piece: of a map with a million lines neither the text nor its
 * lines are ever there as strings all at once.
 */
export class MapText {
  /** UTF-8. */
  readonly #bytes: Buffer;

  readonly #pieceBytes: number;

  /**
   * @param content  UTF-8 or UTF-16, with or without a byte order mark: PowerShell writes the latter
   * @param pieceBytes  decoded at once
   */
  constructor(content: Uint8Array | string, pieceBytes: number = defaultPieceBytes) {
    this.#pieceBytes = pieceBytes;
    const bytes = typeof content === 'string' ? Buffer.from(content) : utf8Of(content);
    const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).subarray(
      hasMark ? 3 : 0,
    );
  }

  /** Whether the first thing in it begins a JSON array or object. */
  get isJson(): boolean {
    const cursor = new JsonCursor(this.#bytes);
    return cursor.take(openBracket) || cursor.object() !== undefined;
  }

  /** Lines without their ends. */
  *lines(): Generator<MapPiece> {
    let line = 1;
    for (let start = 0; start < this.#bytes.length; ) {
      const end = this.#endOfPiece(start);
      const lines = this.#bytes.toString('utf8', start, end).split('\n');
      // Behind the last line's end there is none.
      if (end < this.#bytes.length || lines.at(-1) === '') lines.pop();
      for (const text of lines) {
        yield { line: line++, text: text.endsWith('\r') ? text.slice(0, -1) : text };
      }
      start = end;
    }
  }

  /**
   * The objects of a JSON array, or those that follow each other. What stands where an object should, and an
   * array that is not closed, ends them with a piece that is no object.
   */
  *objects(): Generator<MapPiece> {
    const cursor = new JsonCursor(this.#bytes);
    const isArray = cursor.take(openBracket);
    for (;;) {
      const object = cursor.object();
      if (object === undefined) break;
      yield object;
      if (isArray && !cursor.take(comma)) break;
    }
    const isClosed = !isArray || cursor.take(closeBracket);
    if (!isClosed || !cursor.isAtEnd) yield cursor.rest();
  }

  /** @returns the end of the last line that begins and ends within a piece from `start`; of one line if need be */
  #endOfPiece(start: number): number {
    const bytes = this.#bytes;
    if (bytes.length - start <= this.#pieceBytes) return bytes.length;
    const last = bytes.lastIndexOf(newline, start + this.#pieceBytes - 1);
    if (last >= start) return last + 1;
    const next = bytes.indexOf(newline, start);
    return next < 0 ? bytes.length : next + 1;
  }
}

/** A place between the tokens of JSON text in UTF-8. */
class JsonCursor {
  readonly #bytes: Buffer;
  #at = 0;
  #line = 1;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#skipSpace();
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Moves behind a byte, if that comes next. */
  take(byte: number): boolean {
    if (this.#bytes[this.#at] !== byte) return false;
    this.#at++;
    this.#skipSpace();
    return true;
  }

  /** Moves behind an object, if a whole one comes next; what is in it is not looked at. */
  object(): MapPiece | undefined {
    const [start, line] = [this.#at, this.#line];
    if (this.#bytes[start] !== openBrace || !this.#passObject()) return undefined;
    const text = this.#bytes.toString('utf8', start, this.#at);
    this.#skipSpace();
    return { line, text };
  }

  /** The beginning of what comes next, for messages. */
  rest(): MapPiece {
    return { line: this.#line, text: this.#bytes.toString('utf8', this.#at, this.#at + 80) };
  }

  /** Moves behind the brace that closes the one here; stays where none does. */
  #passObject(): boolean {
    const bytes = this.#bytes;
    const limit = Math.min(bytes.length, this.#at + longestObject);
    let depth = 0;
    let lines = 0;
    for (let at = this.#at; at < limit; at++) {
      const byte = bytes[at];
      if (byte === quote) at = endOfString(bytes, at + 1, limit);
      else if (byte === openBrace) depth++;
      // In a string there is none, or the object cannot be read.
      else if (byte === newline) lines++;
      else if (byte === closeBrace && --depth === 0) {
        this.#at = at + 1;
        this.#line += lines;
        return true;
      }
    }
    return false;
  }

  #skipSpace(): void {
    for (; isSpace(this.#bytes[this.#at]); this.#at++) {
      if (this.#bytes[this.#at] === newline) this.#line++;
    }
  }
}

/** @returns the place of the quote that ends a string */
function endOfString(bytes: Uint8Array, from: number, limit: number): number {
  let at = from;
  while (at < limit && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1;
  return at;
}

/** White space of JSON. */
function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === newline || byte === 0x0d || byte === 0x09;
}

function utf8Of(bytes: Uint8Array): Uint8Array {
  const encoding = utf16Of(bytes);
  return encoding === undefined ? bytes : Buffer.from(new TextDecoder(encoding).decode(bytes));
}

function utf16Of([first, second, third, fourth]: Uint8Array): string | undefined {
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  if (first === 0xfe && second === 0xff) return 'utf-16be';
  // Without a mark: ASCII in UTF-16 has a zero in every other byte.
  if (second === 0 && fourth === 0) return 'utf-16le';
  return first === 0 && third === 0 ? 'utf-16be' : undefined;
}
