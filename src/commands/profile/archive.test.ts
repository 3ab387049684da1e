import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unpacked } from '../../../test/unpacked-profile.ts';
import { UserError } from '../../base/errors.ts';
import { FileBytes } from '../../base/files/file-bytes.ts';
import { checkSeal, seal } from '../../base/files/sealed.ts';
import { Archive, packFiles } from './archive.ts';

const name = fc.stringMatching(
  /^(?:[a-z][a-z0-9-]{0,5}\/)?[a-z][a-z0-9-]{0,6}(?:\.[a-z0-9]{1,4})?$/,
);
/** Nothing is a file and a folder at once. */
const files = fc
  .dictionary(name, fc.uint8Array({ maxLength: 200 }), { noNullPrototype: true })
  .filter((all) =>
    Object.keys(all).every((path) => !(path.split('/')[0] in all) || !path.includes('/')),
  );

function withList(list: unknown, ...contents: Uint8Array[]): Buffer {
  const text = Buffer.from(JSON.stringify(list));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return seal(Buffer.from('WPROFILE'), length, text, ...contents);
}

describe('files in one', () => {
  test('come back as they were', async () => {
    await fc.assert(
      fc.asyncProperty(files, async (all) => {
        const packed = packFiles(new Map(Object.entries(all)));
        const back = Object.fromEntries(
          [...(await unpacked(packed))].map(([key, bytes]) => [key, Uint8Array.from(bytes)]),
        );
        expect(back).toEqual(all);
      }),
      { seed: 1 },
    );
  });

  test('are read from a file as from memory, which is named where that fails', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wayward-archive-'));
    const path = join(folder, 'a.wayward');
    writeFileSync(path, packFiles(new Map([['a.bin', Buffer.alloc(3 << 20, 'abc')]])));
    const bytes = await FileBytes.open(path);
    const archive = await Archive.open(bytes, path);
    expect(await archive.read('a.bin')).toEqual(Buffer.alloc(3 << 20, 'abc'));
    expect(await archive.read('b.bin')).toEqual(Buffer.alloc(0));
    expect(await checkSeal(bytes, path)).toBe(bytes.length - 8);
    expect(await bytes.read(bytes.length - 1, 10)).toHaveLength(1);
    await bytes.close();
    await expect(FileBytes.open(join(folder, 'none'))).rejects.toThrow('there is no such file');
    const listed = await FileBytes.open(folder);
    await expect(listed.read(0, 8)).rejects.toThrow(`${folder}: cannot be read: it is a folder`);
    await listed.close();
    rmSync(folder, { recursive: true });
  });

  test('with any byte changed, or cut off anywhere, are refused', async () => {
    const packed = packFiles(new Map([['model/a.bin', Buffer.from('some weights')]]));
    for (let at = 0; at < packed.length; at++) {
      const changed = Buffer.from(packed);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      await expect(unpacked(changed), `byte ${at}`).rejects.toThrow(UserError);
      await expect(unpacked(packed.subarray(0, at)), `${at} bytes`).rejects.toThrow(UserError);
    }
  });

  test.each([
    ['leads out of the folder', [{ name: '../a', bytes: 0 }]],
    ['is absolute', [{ name: '/etc/passwd', bytes: 0 }]],
    ['is hidden', [{ name: '.bashrc', bytes: 0 }]],
    ['is longer than the file', [{ name: 'a', bytes: 2 ** 40 }]],
    [
      'is one of ten thousand',
      Array.from({ length: 10_000 }, (_, i) => ({ name: `a${i}`, bytes: 0 })),
    ],
    ['has no length', [{ name: 'a', bytes: -1 }]],
    [
      'is twice there',
      [
        { name: 'a', bytes: 0 },
        { name: 'a', bytes: 1 },
      ],
    ],
    [
      'is file and folder',
      [
        { name: 'a/b', bytes: 0 },
        { name: 'a', bytes: 1 },
      ],
    ],
    ['is longer than names are', [{ name: 'a'.repeat(300), bytes: 1 }]],
    ['is no list', { name: 'a' }],
    ['is nothing', [null]],
  ])('whose list %s are refused', async (_, list) => {
    await expect(unpacked(withList(list, Buffer.from('x')), 'p')).rejects.toThrow(
      'p: is cut off or damaged: its list of files contradicts itself',
    );
  });
});
