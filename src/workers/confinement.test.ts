import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Confinement } from './confinement.ts';

const base = mkdtempSync(join(tmpdir(), 'wayward-'));
const root = join(base, 'root');
const outside = join(base, 'outside');
for (const name of ['sample', 'linked', 'inner', 'nowhere', 'circle']) {
  mkdirSync(join(root, name), { recursive: true });
}
mkdirSync(outside);
mkdirSync(`${root}-beside`);
writeFileSync(join(outside, 'secret'), 'x');
writeFileSync(join(root, 'sample', 'trace_0.gz'), 'x');
symlinkSync(join(outside, 'secret'), join(root, 'linked', 'trace_0.gz'));
symlinkSync(outside, join(root, 'out'));
symlinkSync(join(root, 'sample', 'trace_0.gz'), join(root, 'inner', 'trace_0.gz'));
symlinkSync(join(outside, 'not-yet'), join(root, 'nowhere', 'trace_0.gz'));
symlinkSync('a', join(root, 'circle', 'a'));
symlinkSync(root, join(base, 'alias'));
const confinement = new Confinement([join(base, 'alias')]);
const read = (path: string): Promise<void> => confinement.check({ read: [path], write: [] });
const write = (path: string): Promise<void> => confinement.check({ read: [], write: [path] });

test('what lies below a root may be used, through links that stay inside, too', async () => {
  await read(join(root, 'sample'));
  await read(join(base, 'alias', 'sample'));
  await read(join(root, 'inner'));
  await write(join(root, 'new', 'folder'));
});

test.each([
  ['beside the root', outside],
  ['a name that begins as the root does', `${root}-beside`],
  ['the folder above', base],
  ['the whole disk', '/'],
  ['back out', join(root, '..', 'outside')],
  ['a link to a folder outside', join(root, 'out')],
  ['below a link to a folder outside', join(root, 'out', 'x')],
  ['a file that is a link to one outside', join(root, 'linked')],
  ['a link to a file that is not there yet', join(root, 'nowhere')],
  ['a link to itself', join(root, 'circle')],
])('%s is refused', async (_, path) => {
  await expect(read(path)).rejects.toThrow('outside the folders');
});

test.each([
  ['a new folder outside', join(outside, 'new')],
  ['a new folder behind a link', join(root, 'out', 'new')],
  ['a link to nothing', join(root, 'nowhere', 'trace_0.gz')],
])('nothing is written to %s', async (_, path) => {
  await expect(write(path)).rejects.toThrow('outside the folders');
});

test('a root that is not there is an error', () => {
  expect(() => new Confinement([join(base, 'absent')])).toThrow('no folder that can be read');
});
