import { existsSync, mkdtempSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { removeStaleParts, writeFileParts } from './files.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
const path = join(folder, 'data.bin');
const host = hostname().replace(/[^A-Za-z0-9]/g, '_');
const yesterday = Date.now() / 1000 - 25 * 3600;

test.each([
  ['of a process that is gone', `${host}-4194303-00000001`, false, true],
  ['of this process', `${host}-${process.pid}-00000001`, false, true],
  ['of a process that runs', `${host}-${process.ppid}-00000001`, false, false],
  ['of another machine', 'elsewhere-1-00000001', false, false],
  ['of another machine, a day old', 'elsewhere-1-00000001', true, true],
])('a part file %s: removed or kept', async (_, name, isOld, isRemoved) => {
  const part = `${path}.${name}.part`;
  writeFileSync(part, 'half');
  if (isOld) utimesSync(part, yesterday, yesterday);
  const other = join(folder, `other.bin.${name}.part`);
  writeFileSync(other, 'half');
  await removeStaleParts(path);
  expect(existsSync(part)).toBe(!isRemoved);
  expect(existsSync(other)).toBe(true);
});

test('a writer that says no, or throws, leaves the old file and no part', async () => {
  writeFileSync(path, 'old');
  const before = new Set(['old']);
  await writeFileParts(path, async () => false);
  await expect(
    writeFileParts(path, async () => {
      throw new Error('cause');
    }),
  ).rejects.toThrow('cause');
  expect(before.has(readFileSync(path, 'utf8'))).toBe(true);
});
