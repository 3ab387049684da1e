import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const script = fileURLToPath(new URL('../scripts/release.mjs', import.meta.url));
const news =
  '# Changelog\n\n## Unreleased\n\n- Something new.\n\n## 1.0.0, 2026-01-01\n\n- First.\n';
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wayward-test-'));
  put(news);
  const root = { name: 'x', version: '1.0.0' };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(root, undefined, 2));
  const lock = { ...root, packages: { '': root, 'node_modules/y': { version: '1.0.0' } } };
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock, undefined, 2));
  for (const words of [
    ['init', '-q'],
    ['add', '-A'],
    ['commit', '-qm', 'x'],
  ])
    git(...words);
});
afterEach(() => rmSync(folder, { recursive: true }));

function put(changelog: string): void {
  writeFileSync(join(folder, 'CHANGELOG.md'), changelog);
}

function git(...words: string[]): void {
  const who = ['-c', 'user.name=x', '-c', 'user.email=x@example.org'];
  spawnSync('git', [...who, ...words], { cwd: folder });
}

function release(...words: string[]): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, [script, ...words], { cwd: folder, encoding: 'utf8' });
}

const textOf = (name: string): string => readFileSync(join(folder, name), 'utf8');

test('a release gives changelog, manifest and lock file its version, and nothing else', () => {
  expect(release('1.1.0')).toMatchObject({ status: 0, stderr: '' });
  expect(textOf('CHANGELOG.md')).toMatch(
    /^## Unreleased\n\n## 1\.1\.0, \d{4}-\d\d-\d\d\n\n- Something new\.\n\n## 1\.0\.0/m,
  );
  expect(JSON.parse(textOf('package.json'))).toEqual({ name: 'x', version: '1.1.0' });
  expect(textOf('package-lock.json').match(/1\.1\.0/g)).toHaveLength(2);
  expect(textOf('package-lock.json').match(/1\.0\.0/g)).toHaveLength(1);
});

test.each([
  ['one', news, 'is no version'],
  ['0.9.0', news, 'is older than 1.0.0'],
  ['1.0.0', news, 'has 1.0.0 already'],
  ['1.1.0', news.replace('- Something new.\n', ''), 'nothing under'],
  ['1.1.0', `${news}<<<<<<< HEAD\n`, 'marks of a merge'],
])('%s is refused where it should be', (version, changelog, problem) => {
  put(changelog);
  const before = textOf('package.json');
  const { status, stderr } = release(version, '--check');
  expect(status).toBe(1);
  expect(stderr).toContain(problem);
  expect(textOf('package.json')).toBe(before);
});

test('a tree with changes is refused', () => {
  put(`${news}\n`);
  expect(release('1.1.0').stderr).toContain('not clean');
});
