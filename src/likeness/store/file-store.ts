import { promisify } from 'node:util';
import { constants, crc32, zstdCompress, zstdDecompress } from 'node:zlib';
import { isAbsent, messageOf, UserError } from '../../base/errors.ts';
import { describeHolder, releaseLock, takeLock } from '../../base/files/lock-file.ts';
import { readWholeFile } from '../../base/files/read.ts';
import { writeFileAtomic } from '../../base/files/write.ts';
import { isCount, isRecord } from '../../base/values.ts';
import type { Collection, SampleStore, StoredSamples } from './sample-store.ts';

const pack = promisify(zstdCompress);
const unpack = promisify(zstdDecompress);

const magic = Buffer.from('WAYSLICE', 'latin1');
const version = 1;
const defaultMostBytes = 1 << 30;

export interface FileStoreOptions {
  /** How long a writer waits for another one, in ms. */
  readonly patience: number;
  /** Of the file when unpacked: a small compressed file must not fill the memory. */
  readonly mostBytes: number;
}

/**
 * A store in one file. Writers read it, change it and write it as a whole, one after the other: a
 * lock file beside it says whose turn it is. Readers need no lock.
 */
export class FileStore implements SampleStore {
  readonly place: string;
  readonly #collection: Collection;
  readonly #patience: number;
  readonly #mostBytes: number;

  constructor(path: string, collection: Collection, options: Partial<FileStoreOptions> = {}) {
    this.place = path;
    this.#collection = collection;
    this.#patience = options.patience ?? 30_000;
    this.#mostBytes = options.mostBytes ?? defaultMostBytes;
  }

  /** An absent file is an empty store. */
  async readAll(): Promise<Held> {
    const found = await readStore(this.place, this.#mostBytes);
    if (found === undefined) return empty();
    if (found.collection.id !== this.#collection.id) {
      throw new UserError(
        'store-mismatch',
        `holds slices that cannot be compared with these. It holds: ${found.collection.description}. These are: ${this.#collection.description}`,
        { category: 'input', path: this.place },
      );
    }
    return found.held;
  }

  put(samples: ReadonlyMap<string, Uint8Array>, names: ReadonlyMap<number, string>): Promise<void> {
    return this.#change((held) => {
      for (const [name, bytes] of samples) held.samples.set(name, bytes);
      for (const [id, name] of names) if (!held.names.has(id)) held.names.set(id, name);
    });
  }

  async remove(samples: readonly string[]): Promise<readonly string[]> {
    const removed: string[] = [];
    await this.#change((held) => {
      removed.push(...samples.filter((name) => held.samples.delete(name)));
    });
    return removed;
  }

  /** Makes the file hold nothing but this, whatever it held before. */
  async replace(
    samples: ReadonlyMap<string, Uint8Array>,
    names: ReadonlyMap<number, string>,
  ): Promise<void> {
    await writeFileAtomic(this.place, await encode(this.#collection, { samples, names }));
  }

  async missing(samples: readonly string[]): Promise<readonly string[]> {
    const held = await this.readAll();
    return samples.filter((name) => !held.samples.has(name));
  }

  async close(): Promise<void> {}

  async #change(change: (held: Held) => void): Promise<void> {
    const lock = `${this.place}.lock`;
    await takeLock(
      lock,
      this.#patience,
      (holder) =>
        new UserError(
          'store-locked',
          `${describeHolder(holder)} is writing the store; if that is not so, remove this file`,
          { category: 'runtime', path: lock },
        ),
    );
    try {
      const { samples, names } = await this.readAll();
      const held = { samples: new Map(samples), names: new Map(names) };
      change(held);
      await writeFileAtomic(this.place, await encode(this.#collection, held));
    } finally {
      await releaseLock(lock);
    }
  }
}

interface Held {
  readonly samples: Map<string, Uint8Array>;
  readonly names: Map<number, string>;
}

function empty(): Held {
  return { samples: new Map(), names: new Map() };
}

/** The same samples give the same file, whatever the order in which they came. */
async function encode(collection: Collection, held: StoredSamples): Promise<Uint8Array> {
  const samples = [...held.samples].sort(([a], [b]) => (a < b ? -1 : 1));
  const head = Buffer.from(
    JSON.stringify({
      collection: collection.id,
      description: collection.description,
      samples: samples.map(([name, { length }]) => [name, length]),
      names: [...held.names].sort(([a], [b]) => a - b),
    }),
  );
  const size = Buffer.alloc(4);
  size.writeUInt32LE(head.length);
  const body = Buffer.concat([size, head, ...samples.map(([, bytes]) => bytes)]);
  const packed = await pack(body, { params: { [constants.ZSTD_c_compressionLevel]: 3 } });
  const frame = Buffer.alloc(magic.length + 2 + 4);
  magic.copy(frame);
  frame.writeUInt16LE(version, magic.length);
  frame.writeUInt32LE(crc32(packed), magic.length + 2);
  return Buffer.concat([frame, packed]);
}

/** @returns what a store's file holds; `undefined` when there is no such file. @throws UserError */
export async function readCollection(path: string): Promise<Collection | undefined> {
  return (await readStore(path))?.collection;
}

/**
 * @returns `undefined` when there is no such file
 * @throws UserError `store-damaged`, `not-readable`
 */
async function readStore(
  path: string,
  mostBytes: number = defaultMostBytes,
): Promise<{ readonly collection: Collection; readonly held: Held } | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readWholeFile(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
  try {
    return decode(await unframe(bytes, mostBytes));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    throw new UserError('store-damaged', error.message, { category: 'input', path });
  }
}

/** What is wrong with a file. */
class Problem extends Error {}

async function unframe(bytes: Buffer, mostBytes: number): Promise<Buffer> {
  const start = magic.length + 6;
  if (bytes.length < start || !magic.equals(bytes.subarray(0, magic.length))) {
    throw new Problem('is no store of slices');
  }
  const found = bytes.readUInt16LE(magic.length);
  if (found !== version) {
    throw new Problem(`has version ${found} of the store format; this release reads ${version}`);
  }
  const packed = bytes.subarray(start);
  if (crc32(packed) !== bytes.readUInt32LE(magic.length + 2)) {
    throw new Problem('is cut off or damaged: the checksum differs');
  }
  try {
    return await unpack(packed, { maxOutputLength: mostBytes });
  } catch (cause) {
    throw new Problem(`is damaged: ${messageOf(cause)}`);
  }
}

function decode(body: Buffer): { readonly collection: Collection; readonly held: Held } {
  if (body.length < 4) throw new Problem('ends too early');
  let at = 4 + body.readUInt32LE(0);
  if (at > body.length) throw new Problem('ends too early');
  let head: unknown;
  try {
    head = JSON.parse(body.subarray(4, at).toString('utf8'));
  } catch {
    throw new Problem('has a head that is no JSON');
  }
  const { collection, description, samples, names } = isRecord(head) ? head : {};
  if (typeof collection !== 'string' || typeof description !== 'string') {
    throw new Problem('does not say what it holds');
  }
  const held = empty();
  for (const [name, length] of pairsOf(samples)) {
    if (typeof name !== 'string' || !isCount(length) || at + length > body.length) {
      throw new Problem('has a bad list of samples');
    }
    held.samples.set(name, body.subarray(at, at + length));
    at += length;
  }
  if (at !== body.length) throw new Problem(`holds ${body.length - at} bytes too many`);
  for (const [id, name] of pairsOf(names)) {
    if (!isCount(id) || typeof name !== 'string') throw new Problem('has a bad list of names');
    held.names.set(id, name);
  }
  return { collection: { id: collection, description }, held };
}

function pairsOf(value: unknown): readonly (readonly [unknown, unknown])[] {
  const isPair = (item: unknown): item is [unknown, unknown] =>
    Array.isArray(item) && item.length === 2;
  if (Array.isArray(value) && value.every(isPair)) return value;
  throw new Problem('lacks a list');
}
