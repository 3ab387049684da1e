import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Random } from '../base/random.ts';
import { contentMark } from './content-mark.ts';

const path = join(mkdtempSync(join(tmpdir(), 'wayward-')), 'trace');
const markOf = (bytes: Uint8Array): Promise<string> => {
  writeFileSync(path, bytes);
  return contentMark(path);
};
const random = new Random(3);
const noise = (length: number): Buffer =>
  Buffer.from(Array.from({ length }, () => random.below(256)));

test('is the same however the content is compressed', async () => {
  const sizes = [0, 1, 7, 8, 65_535, 65_536, 65_537, 200_000];
  for (const content of [...sizes.map((size) => noise(size)), Buffer.alloc(300_000, 'ab')]) {
    const mark = await markOf(gzipSync(content));
    // What begins like gzip is taken for it.
    if (content.length > 0) expect(await markOf(content), `${content.length} bytes`).toBe(mark);
    expect(await markOf(gzipSync(content, { level: 1 }))).toBe(mark);
    expect(await markOf(gzipSync(content, { level: 0 }))).toBe(mark);
    for (const cut of [1, 100, 65_536]) {
      const parts = [content.subarray(0, cut), content.subarray(cut)];
      expect(await markOf(Buffer.concat(parts.map((part) => gzipSync(part))))).toBe(mark);
    }
  }
});

test('what looks like a second member inside stored data is looked at', async () => {
  const inside = Buffer.concat([noise(65_500), Buffer.from([0x1f, 0x8b, 8, 0]), noise(500)]);
  expect(await markOf(gzipSync(inside, { level: 0 }))).toBe(await markOf(gzipSync(inside)));
});

test('differs where a byte does', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.nat(),
      async (bytes, at) => {
        const other = Uint8Array.from(bytes);
        other[at % bytes.length] ^= 1;
        expect(await markOf(gzipSync(other))).not.toBe(await markOf(gzipSync(bytes)));
      },
    ),
    { seed: 1 },
  );
});

test('a file that is not there is named', async () => {
  await expect(contentMark(`${path}-gone`)).rejects.toThrow('trace-gone: cannot be read');
});
