import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { commands } from '../src/cli/commands.ts';
import { exitCodeRows } from '../src/cli/frame/topics.ts';

const page = (name: string): string =>
  readFileSync(new URL(`../docs/${name}.md`, import.meta.url), 'utf8');
const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const programs = ['/usr/bin/mawk', '/usr/bin/qemu-x86_64', '/usr/bin/gcc', '/usr/bin/nm'];

test.skipIf(!programs.every((path) => existsSync(path)))(
  'the commands of the tutorial, as they stand there, find the hijacked run',
  { tags: 'slow', timeout: 600_000 },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'wayward-test-'));
    try {
      const blocks = [...page('tutorial').matchAll(/^```sh\n([\s\S]*?)^```$/gm)];
      expect(blocks.length).toBeGreaterThan(6);
      const script = [
        'set -e',
        `wayward() { '${process.execPath}' '${main}' "$@"; }`,
        ...blocks.map(([, block]) => block),
      ].join('\n');
      const { status, stdout, stderr } = spawnSync('bash', ['-c', script], {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, TZ: 'UTC' },
      });
      expect(status, stderr).toBe(0);
      expect(stdout).toContain('40 exited with 0');
      expect(stdout).toMatch(/^hijacked$/m);
      expect(stdout.match(/^nominal .*day-4[123]\.log/gm)).toHaveLength(3);
      expect(stdout).toMatch(
        /^ANOMALOUS +p 0\.0\d+ +evil\.log .*notes\.so!read.* to libc\.so\.6!system/m,
      );
      expect(stdout).toContain('1 of 4 samples anomalous');
      expect(readFileSync(join(folder, 'suspect.html'), 'utf8')).toContain('evil.log');
      expect(statSync(join(folder, 'evil.folded')).size).toBeGreaterThan(1000);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

test('the page of settings has the exit codes as they are', () => {
  const rows = page('settings').matchAll(/^\| (\d+) \| (.*) \|$/gm);
  const told = [...rows].map(([, code, meaning]) => [Number(code), meaning]);
  expect(told).toEqual(exitCodeRows.map((row) => [...row]));
});

test('every command that a page shows is one that there is', () => {
  const known = commands.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
  for (const name of ['tutorial', 'how-to', 'settings', 'ancestor', 'recording']) {
    const shown = [...page(name).matchAll(/(?<![.\w])wayward ([a-z]+)\b/g)];
    expect(shown.length, name).toBeGreaterThan(0);
    for (const [, command] of shown) expect(known, `${name}: ${command}`).toContain(command);
  }
});
