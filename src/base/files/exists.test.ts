import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isThere, statusOf } from './exists.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wayward-exists-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('files and folders are there, and what links lead to; other names are not', () => {
  const file = join(folder, 'file');
  writeFileSync(file, 'abc');
  symlinkSync('file', join(folder, 'link'));
  symlinkSync('nothing', join(folder, 'dangling'));
  expect(statusOf(file)?.size).toBe(3);
  expect(statusOf(join(folder, 'link'))?.size).toBe(3);
  expect(isThere(folder)).toBe(true);
  for (const name of ['nothing', 'dangling', 'file/below', '']) {
    expect(isThere(name === '' ? '' : join(folder, name)), name).toBe(false);
  }
});

test('where nobody can tell, that is said', () => {
  const loop = join(folder, 'loop');
  symlinkSync('loop', loop);
  const names = [loop, join(folder, 'x'.repeat(300)), join(folder, 'a\0b')];
  for (const path of names) {
    expect(() => isThere(path)).toThrow(expect.objectContaining({ code: 'not-readable', path }));
  }
});
