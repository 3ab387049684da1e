import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { buildPlugin } from './build.ts';

let folder = '';
/** A search path whose `cc` counts its calls and compiles nothing. */
let path = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wayward-plugin-'));
  path = join(folder, 'path');
  mkdirSync(path);
  const cc = `#!/bin/sh\necho >> ${folder}/calls\nwhile [ "$1" != -o ]; do shift; done\necho compiled > "$2"\n`;
  writeFileSync(join(path, 'cc'), cc, { mode: 0o755 });
  vi.stubEnv('PATH', `${path}:/usr/bin:/bin`);
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const calls = (): number => statSync(join(folder, 'calls'), { throwIfNoEntry: false })?.size ?? 0;

const at = async (name: string): Promise<string> => {
  const own = join(folder, name);
  mkdirSync(own);
  return own;
};

test('a plugin is compiled once, and again where somebody else could have written it', async () => {
  const cache = join(folder, 'cache');
  const [first, second, third] = [await at('1'), await at('2'), await at('3')];
  expect(await buildPlugin(first, cache)).toBe(join(first, 'plugin.so'));
  const [kept = ''] = readdirSync(cache).map((name) => join(cache, name));
  expect(statSync(kept).mode & 0o777).toBe(0o700);
  expect(await buildPlugin(second, cache)).toBe(join(second, 'plugin.so'));
  expect(readFileSync(join(second, 'plugin.so'), 'utf8')).toBe('compiled\n');
  expect(calls()).toBe(1);
  chmodSync(kept, 0o722);
  await buildPlugin(third, cache);
  expect(calls()).toBe(2);
  expect(statSync(kept).mode & 0o777).toBe(0o700);
});

test('where nothing can be kept, it is compiled all the same', async () => {
  writeFileSync(join(folder, 'file'), '');
  const own = await at('4');
  await buildPlugin(own, join(folder, 'file', 'cache'));
  expect(readFileSync(join(own, 'plugin.so'), 'utf8')).toBe('compiled\n');
});

test('without a compiler, what was compiled before serves', async () => {
  const cache = join(folder, 'other');
  await buildPlugin(await at('5'), cache);
  vi.stubEnv('PATH', join(folder, 'cache'));
  await buildPlugin(await at('6'), cache);
  await expect(buildPlugin(await at('7'), join(folder, 'empty'))).rejects.toMatchObject({
    code: 'no-compiler',
  });
});
