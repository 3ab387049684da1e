/** A value that is no object or list; `undefined` when it is longer than `longestText`, or no number. */
export type JsonScalar = string | number | boolean | null | undefined;

/** What is told about a document, in order, while it comes in. */
export interface JsonVisitor {
  /** A member of an object. @returns whether its value is wanted; others are passed over */
  key(name: string | undefined): boolean;
  /** An object or list starts. @returns whether to go into it */
  open(kind: 'object' | 'list'): boolean;
  /** The object or list that was gone into last ends. */
  close(): void;
  scalar(value: JsonScalar): void;
}

/** Bytes of a text or number that is told. */
export const longestText = 4096;

/**
 * Scans a JSON document of any size that comes in pieces, in memory that does not depend on it.
 *
 * What the visitor does not want is passed over by counting brackets, without a look inside: a text
 * of a gigabyte or a hundred thousand brackets cost time and nothing else. Only what it goes into is
 * checked, as far as telling keys from values takes.
 */
export class JsonScanner {
  readonly #visitor: JsonVisitor;
  /** Of each container gone into. */
  readonly #isObject: boolean[] = [];
  /** Unclosed brackets of what is passed over. */
  #skipped = 0;
  /** The value that comes next is not wanted. */
  #isUnwanted = false;
  #awaits: 'key' | 'colon' | 'value' | 'end' = 'value';
  #token: 'none' | 'text' | 'word' = 'none';
  /** Behind a backslash in a text. */
  #isEscaped = false;
  #hasEscape = false;
  /** Start of a token that an earlier piece held. */
  readonly #kept: Buffer = Buffer.alloc(longestText);
  #keptLength = 0;
  readonly #repeated: (
    | { readonly raw: Uint8Array; readonly text: string | undefined }
    | undefined
  )[] = new Array(repeatedTexts).fill(undefined);
  #offset = 0;
  #damage: string | undefined;

  constructor(visitor: JsonVisitor) {
    this.#visitor = visitor;
  }

  /** What is wrong and where, a clause. Nothing is read behind it. */
  get damage(): string | undefined {
    return this.#damage;
  }

  write(piece: Uint8Array): void {
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    let i = 0;
    while (i < bytes.length && this.#damage === undefined) {
      if (this.#skipped > 0) i = this.#skip(bytes, i);
      else if (this.#token === 'text') i = this.#text(bytes, i);
      else if (this.#token === 'word') i = this.#word(bytes, i);
      else i = this.#structure(bytes, i);
    }
    this.#offset += bytes.length;
  }

  /** The document ends here. @returns its damage; being cut off is one */
  finish(): string | undefined {
    // A number may end with the document.
    if (this.#token === 'word') this.#endWord(noBytes, 0, 0);
    if (this.#skipped > 0 || this.#isObject.length > 0 || this.#awaits !== 'end') {
      this.#damage ??= `is cut off at byte ${this.#offset}`;
    }
    return this.#damage;
  }

  #fail(index: number): number {
    this.#damage = `is no JSON from byte ${this.#offset + index} on`;
    return index;
  }

  /** One byte between tokens. @returns the index to go on at, as the other steps */
  #structure(bytes: Buffer, i: number): number {
    const byte = bytes[i];
    const awaits = this.#awaits;
    switch (byte) {
      case 0x20:
      case 0x09:
      case 0x0a:
      case 0x0d:
        return i + 1;
      case quote:
        if (awaits !== 'key' && awaits !== 'value') return this.#fail(i);
        this.#token = 'text';
        this.#keptLength = 0;
        this.#hasEscape = false;
        return i + 1;
      case brace:
      case bracket:
        if (awaits !== 'value') return this.#fail(i);
        this.#open(byte === brace);
        return i + 1;
      case closingBrace:
      case closingBracket: {
        const isObject = byte === closingBrace;
        // A comma before it does no harm.
        const canClose = awaits === 'end' || awaits === (isObject ? 'key' : 'value');
        if (!canClose || this.#isObject.at(-1) !== isObject) return this.#fail(i);
        this.#isObject.pop();
        this.#awaits = 'end';
        this.#visitor.close();
        return i + 1;
      }
      case 0x3a: // :
        if (awaits !== 'colon') return this.#fail(i);
        this.#awaits = 'value';
        return i + 1;
      case 0x2c: // ,
        if (awaits !== 'end' || this.#isObject.length === 0) return this.#fail(i);
        this.#awaits = this.#isObject.at(-1) ? 'key' : 'value';
        this.#isUnwanted = false;
        return i + 1;
      default:
        if (this.#offset + i < byteOrderMark.length && byte === byteOrderMark[this.#offset + i]) {
          return i + 1;
        }
        if (awaits !== 'value' || !isWordByte(byte)) return this.#fail(i);
        this.#token = 'word';
        this.#keptLength = 0;
        return i;
    }
  }

  #open(isObject: boolean): void {
    if (this.#isUnwanted || !this.#visitor.open(isObject ? 'object' : 'list')) {
      this.#skipped = 1;
      return;
    }
    this.#isObject.push(isObject);
    this.#awaits = isObject ? 'key' : 'value';
  }

  #skip(bytes: Buffer, from: number): number {
    let skipped = this.#skipped;
    let isText = this.#token === 'text';
    let isEscaped = this.#isEscaped;
    let i = from;
    for (; i < bytes.length && skipped > 0; i++) {
      const byte = bytes[i];
      if (isText) {
        if (isEscaped) isEscaped = false;
        else if (byte === backslash) isEscaped = true;
        else if (byte === quote) isText = false;
      } else if (byte === quote) {
        isText = true;
      } else if (byte === brace || byte === bracket) {
        skipped++;
      } else if (byte === closingBrace || byte === closingBracket) {
        skipped--;
      }
    }
    this.#skipped = skipped;
    this.#token = isText ? 'text' : 'none';
    this.#isEscaped = isEscaped;
    if (skipped === 0) this.#awaits = 'end';
    return i;
  }

  #text(bytes: Buffer, from: number): number {
    let isEscaped = this.#isEscaped;
    let hash = 0;
    for (let i = from; i < bytes.length; i++) {
      const byte = bytes[i];
      hash = (Math.imul(hash, 31) + byte) | 0;
      if (isEscaped) {
        isEscaped = false;
      } else if (byte === backslash) {
        isEscaped = true;
        this.#hasEscape = true;
      } else if (byte === quote) {
        this.#isEscaped = false;
        this.#endText(bytes, from, i, hash);
        return i + 1;
      }
    }
    this.#isEscaped = isEscaped;
    this.#keep(bytes, from, bytes.length);
    return bytes.length;
  }

  #endText(bytes: Buffer, from: number, to: number, hash: number): void {
    this.#token = 'none';
    if (this.#awaits === 'key') {
      this.#awaits = 'colon';
      this.#isUnwanted = !this.#visitor.key(this.#textOf(bytes, from, to, hash));
    } else {
      this.#awaits = 'end';
      if (!this.#isUnwanted) this.#visitor.scalar(this.#textOf(bytes, from, to, hash));
    }
  }

  /** Keys and names come again and again: most are found among those seen before, not made anew. */
  #textOf(bytes: Buffer, from: number, to: number, hash: number): string | undefined {
    const length = to - from;
    if (this.#keptLength > 0 || length > longestRepeated) return this.#newText(bytes, from, to);
    const slot = (hash ^ (hash >>> 12)) & (repeatedTexts - 1);
    const known = this.#repeated[slot];
    if (known?.raw.length === length) {
      let i = 0;
      while (i < length && known.raw[i] === bytes[from + i]) i++;
      if (i === length) return known.text;
    }
    const text = this.#newText(bytes, from, to);
    this.#repeated[slot] = { raw: Uint8Array.from(bytes.subarray(from, to)), text };
    return text;
  }

  #newText(bytes: Buffer, from: number, to: number): string | undefined {
    const raw = this.#tokenOf(bytes, from, to);
    if (raw === undefined || !this.#hasEscape) return raw;
    try {
      return JSON.parse(`"${raw}"`) as string;
    } catch {
      // An escape that JSON does not have, or a line break: the text is what stands there.
      return raw;
    }
  }

  #word(bytes: Buffer, from: number): number {
    let i = from;
    while (i < bytes.length && isWordByte(bytes[i])) i++;
    if (i === bytes.length) this.#keep(bytes, from, i);
    else this.#endWord(bytes, from, i);
    return i;
  }

  #endWord(bytes: Buffer, from: number, to: number): void {
    this.#token = 'none';
    this.#awaits = 'end';
    if (this.#isUnwanted) return;
    const word = this.#tokenOf(bytes, from, to) ?? '';
    const number = Number(word);
    if (word === 'true' || word === 'false') this.#visitor.scalar(word === 'true');
    else if (word === 'null') this.#visitor.scalar(null);
    else this.#visitor.scalar(Number.isFinite(number) && word !== '' ? number : undefined);
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    const room = Math.max(0, longestText - this.#keptLength);
    bytes.copy(this.#kept, this.#keptLength, from, Math.min(to, from + room));
    this.#keptLength += to - from;
  }

  /** @returns the token that ends with these bytes; `undefined` when it is too long */
  #tokenOf(bytes: Buffer, from: number, to: number): string | undefined {
    if (this.#keptLength + to - from > longestText) return undefined;
    if (this.#keptLength === 0) return bytes.toString('utf8', from, to);
    this.#keep(bytes, from, to);
    return this.#kept.toString('utf8', 0, this.#keptLength);
  }
}

/** Texts that are looked up, and how long they may be. */
const repeatedTexts = 1024;
const longestRepeated = 64;

const quote = 0x22;
const backslash = 0x5c;
const brace = 0x7b;
const bracket = 0x5b;
const closingBrace = 0x7d;
const closingBracket = 0x5d;
const byteOrderMark = [0xef, 0xbb, 0xbf];
const noBytes = Buffer.alloc(0);

/** Letters, digits and the signs of numbers. */
function isWordByte(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    byte === 0x2d ||
    byte === 0x2b ||
    byte === 0x2e
  );
}
