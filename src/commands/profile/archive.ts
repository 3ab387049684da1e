import { UserError } from '../../base/errors.ts';
import type { Bytes } from '../../base/files/file-bytes.ts';
import { seal } from '../../base/files/sealed.ts';

/** `WPROFILE`, then the length of the list of files (u32), the list as JSON, the files; sealed. */
const magic = Buffer.from('WPROFILE', 'latin1');
/** A profile of a million contexts has 60 MB. */
const mostListBytes = 2 ** 20;
/** A profile has a dozen. Each is written when it is opened, however empty it is. */
const mostFiles = 256;
/** Of a file, what is read at a time. */
const pieceBytes = 1 << 20;

interface Entry {
  readonly name: string;
  readonly bytes: number;
}

/** @param files  by name, with `/` between folders */
export function packFiles(files: ReadonlyMap<string, Uint8Array>): Buffer {
  const list = [...files].map(([name, { length }]): Entry => ({ name, bytes: length }));
  const text = Buffer.from(JSON.stringify(list));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return seal(magic, length, text, ...files.values());
}

/** Several files in one, read one by one: together they may be larger than what there is memory for. */
export class Archive {
  readonly #bytes: Bytes;
  readonly #places = new Map<string, { readonly start: number; readonly length: number }>();

  /** @param start  of the first file's content */
  private constructor(bytes: Bytes, entries: readonly Entry[], start: number) {
    this.#bytes = bytes;
    let at = start;
    for (const { name, bytes: length } of entries) {
      this.#places.set(name, { start: at, length });
      at += length;
    }
  }

  /**
   * Reads which files there are, and nothing of them: whether those are whole, `checkSeal` says.
   *
   * @param path  for messages only
   * @throws UserError `no-profile`, `file-damaged`, and what reading throws
   */
  static async open(bytes: Bytes, path: string): Promise<Archive> {
    const headBytes = magic.length + 4;
    const head = Buffer.from(await bytes.read(0, headBytes));
    if (!head.subarray(0, magic.length).equals(magic)) {
      throw new UserError('no-profile', 'is no profile of Wayward', { category: 'input', path });
    }
    const listBytes = head.length < headBytes ? 0 : head.readUInt32LE(magic.length);
    const start = headBytes + listBytes;
    const entries =
      listBytes > mostListBytes
        ? undefined
        : parseList(Buffer.from(await bytes.read(headBytes, listBytes)).toString());
    const end = entries?.reduce((sum, { bytes: length }) => sum + length, start) ?? Infinity;
    if (entries === undefined || end > bytes.length) {
      const why = 'is cut off or damaged: its list of files contradicts itself';
      throw new UserError('file-damaged', why, { category: 'input', path });
    }
    return new Archive(bytes, entries, start);
  }

  get names(): readonly string[] {
    return [...this.#places.keys()];
  }

  /** @returns the content of a file, piece by piece; nothing of one that is not there */
  async *piecesOf(name: string): AsyncGenerator<Uint8Array> {
    const { start, length } = this.#places.get(name) ?? { start: 0, length: 0 };
    for (let at = 0; at < length; at += pieceBytes) {
      yield this.#bytes.read(start + at, Math.min(pieceBytes, length - at));
    }
  }

  /** @returns the content of a file; empty for one that is not there */
  async read(name: string): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.piecesOf(name)) pieces.push(piece);
    return Buffer.concat(pieces);
  }
}

const longestName = 200;
/** Names decide where files are written: none leads out of the folder. */
const safeName = /^(?:[a-z][\w-]*\/)?[a-z][\w-]*(?:\.[\w-]+)*$/;

function parseList(text: string): readonly Entry[] | undefined {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return undefined;
  }
  const isEntry = (entry: Partial<Entry> | null): boolean =>
    typeof entry?.name === 'string' &&
    entry.name.length <= longestName &&
    safeName.test(entry.name) &&
    Number.isSafeInteger(entry.bytes) &&
    (entry.bytes ?? -1) >= 0;
  if (!Array.isArray(list) || list.length > mostFiles || !list.every(isEntry)) return undefined;
  const entries = list as readonly Entry[];
  const names = new Set(entries.map(({ name }) => name));
  const isAlone = ({ name }: Entry): boolean =>
    !names.has(name.split('/', 1)[0]) || !name.includes('/');
  return names.size === entries.length && entries.every(isAlone) ? entries : undefined;
}
