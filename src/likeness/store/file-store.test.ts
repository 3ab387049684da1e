import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { writeAtOnce } from '../../../test/store-writers.ts';
import { FileStore } from './file-store.ts';
import { collectionsIn } from './open-store.ts';

const root = mkdtempSync(join(tmpdir(), 'wayward-store-'));
afterAll(() => rmSync(root, { recursive: true }));
const collection = { id: 'model-1234', description: 'model model, patches' };
let files = 0;
const newPath = (): string => join(root, `store-${files++}`);

/** A file with a right frame around `body`. */
function framed(body: Uint8Array, version = 1): Buffer {
  const packed = zstdCompressSync(body);
  const frame = Buffer.alloc(14);
  frame.write('WAYSLICE', 'latin1');
  frame.writeUInt16LE(version, 8);
  frame.writeUInt32LE(crc32(packed), 10);
  return Buffer.concat([frame, packed]);
}

function withHead(head: unknown, rest: Uint8Array = new Uint8Array(0)): Buffer {
  const text = Buffer.from(JSON.stringify(head));
  const size = Buffer.alloc(4);
  size.writeUInt32LE(text.length);
  return framed(Buffer.concat([size, text, rest]));
}

describe('a store in a file', () => {
  test('gives back what was put, replaces, removes', async () => {
    const path = newPath();
    const store = new FileStore(path, collection);
    expect((await store.readAll()).samples.size).toBe(0);
    await store.put(
      new Map([
        ['a', Buffer.from('1')],
        ['\u202e\n', Buffer.from([0, 255])],
      ]),
      new Map([[5, 'five']]),
    );
    await store.put(
      new Map([['a', Buffer.from('22')]]),
      new Map([
        [5, 'other'],
        [6, 'six'],
      ]),
    );
    const held = await new FileStore(path, collection).readAll();
    expect(new Map([...held.samples].map(([name, bytes]) => [name, [...bytes]]))).toEqual(
      new Map([
        ['a', [50, 50]],
        ['\u202e\n', [0, 255]],
      ]),
    );
    expect(held.names).toEqual(
      new Map([
        [5, 'five'],
        [6, 'six'],
      ]),
    );
    expect(await store.missing(['a', 'b'])).toEqual(['b']);
    expect(await store.remove(['a', 'b'])).toEqual(['a']);
    expect([...(await store.readAll()).samples.keys()]).toEqual(['\u202e\n']);
    expect(await collectionsIn(path)).toEqual([collection]);
  });

  test('is the same file in whatever order its samples came', async () => {
    const [one, other] = [newPath(), newPath()];
    const put = (path: string, name: string, id: number): Promise<void> =>
      new FileStore(path, collection).put(
        new Map([[name, Buffer.from(name)]]),
        new Map([[id, name]]),
      );
    await put(one, 'b', 2);
    await put(one, 'a', 1);
    await put(other, 'a', 1);
    await put(other, 'b', 2);
    expect(readFileSync(one)).toEqual(readFileSync(other));
  });

  test('four writers at once lose nothing', async () => {
    const path = newPath();
    const expected = await writeAtOnce(path, collection, 20);
    const { samples, names } = await new FileStore(path, collection).readAll();
    expect([...samples.keys()].sort()).toEqual(expected);
    expect(names.size).toBe(80);
  });

  test('refuses slices of another model, and says of which', async () => {
    const path = newPath();
    await new FileStore(path, collection).put(new Map([['a', Buffer.from('1')]]), new Map());
    const other = new FileStore(path, { id: 'other-1234', description: 'model other, patches' });
    const message = expect.stringMatching(
      /It holds: model model, patches\. These are: model other/,
    );
    await expect(other.readAll()).rejects.toMatchObject({ code: 'store-mismatch', message });
    await expect(other.put(new Map(), new Map())).rejects.toMatchObject({ code: 'store-mismatch' });
    expect((await new FileStore(path, collection).readAll()).samples.size).toBe(1);
  });

  test('the lock of a process that has ended is taken over; that of another one is waited for', async () => {
    const path = newPath();
    const store = new FileStore(path, collection, { patience: 100 });
    // No process has a number this large: the kernel's limit is 2^22.
    writeFileSync(`${path}.lock`, '99999999\n');
    await store.put(new Map([['a', Buffer.from('1')]]), new Map());
    expect((await store.readAll()).samples.size).toBe(1);
    writeFileSync(`${path}.lock`, `${process.ppid}\n`);
    await expect(store.put(new Map(), new Map())).rejects.toMatchObject({ code: 'store-locked' });
  });

  test('a folder that is not there is made; one that cannot be is an error', async () => {
    const store = new FileStore(join(root, 'new', 'deep', 'store'), collection);
    await store.put(new Map([['a', Buffer.from('1')]]), new Map());
    expect((await store.readAll()).samples.size).toBe(1);
    const inFile = new FileStore(join(root, 'new', 'deep', 'store', 'x'), collection);
    await expect(inFile.put(new Map(), new Map())).rejects.toMatchObject({ name: 'UserError' });
  });
});

describe('a damaged file', () => {
  const readBytes = async (bytes: Uint8Array): Promise<unknown> => {
    const path = newPath();
    writeFileSync(path, bytes);
    return new FileStore(path, collection).readAll();
  };

  test('cut off or changed anywhere is refused by name', async () => {
    const path = newPath();
    await new FileStore(path, collection).put(
      new Map([['a', Buffer.from('123')]]),
      new Map([[1, 'x']]),
    );
    const whole = readFileSync(path);
    const position = fc.nat(whole.length - 1);
    await fc.assert(
      fc.asyncProperty(
        position,
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, flip, isCut) => {
          const bytes = Buffer.from(isCut ? whole.subarray(0, at) : whole);
          if (!isCut) bytes[at]! ^= flip;
          await expect(readBytes(bytes)).rejects.toMatchObject({
            code: 'store-damaged',
            category: 'input',
          });
        },
      ),
      { seed: 3, numRuns: 60 },
    );
  });

  const head = { collection: collection.id, description: '', samples: [], names: [] };
  test.each([
    ['nothing at all', new Uint8Array(0)],
    ['a later version', framed(new Uint8Array(4), 2)],
    ['no head', framed(new Uint8Array(2))],
    ['a head that is too long', framed(Uint8Array.of(255, 255, 255, 255))],
    ['a head that is no JSON', framed(Uint8Array.of(1, 0, 0, 0, 123))],
    ['null as head', withHead(null)],
    ['no lists', withHead({ collection: collection.id, description: '' })],
    [
      'a sample longer than the file',
      withHead({ ...head, samples: [['a', 5]] }, new Uint8Array(4)),
    ],
    ['a sample of negative length', withHead({ ...head, samples: [['a', -1]] })],
    ['a sample without name', withHead({ ...head, samples: [[1, 0]] })],
    ['bytes of no sample', withHead(head, new Uint8Array(1))],
    ['a name of no term', withHead({ ...head, names: [['x', 'y']] })],
  ])('%s', async (_, bytes) => {
    await expect(readBytes(bytes)).rejects.toMatchObject({ code: 'store-damaged' });
  });

  test('that would unpack to more than memory holds', async () => {
    const path = newPath();
    await new FileStore(path, collection).put(new Map([['a', Buffer.alloc(100_000)]]), new Map());
    expect(readFileSync(path).length).toBeLessThan(1000);
    const store = new FileStore(path, collection, { mostBytes: 50_000 });
    await expect(store.readAll()).rejects.toMatchObject({ code: 'store-damaged' });
  });
});
