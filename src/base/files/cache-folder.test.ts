import { mkdtempSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { removeOldest } from './cache-folder.ts';

test('of too many files of one form the oldest go, and no others', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wayward-cache-'));
  // `other`, of another form, is the oldest of all.
  for (const [age, name] of ['d.kept', 'a.kept', 'c.kept', 'b.kept', 'other'].entries()) {
    writeFileSync(join(folder, name), '');
    utimesSync(join(folder, name), 1e6 - age, 1e6 - age);
  }
  const form = /^[a-z]\.kept$/;
  removeOldest(folder, form, 4, 2);
  expect(readdirSync(folder).length).toBe(5);
  removeOldest(folder, form, 3, 2);
  expect(readdirSync(folder).sort()).toEqual(['a.kept', 'd.kept', 'other']);
});
