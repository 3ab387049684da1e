import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { commands } from '../commands.ts';
import { flagsOf } from '../frame/option.ts';
import { manualFiles, manualPages } from './pages.ts';

const loaded = await Promise.all(
  commands.map(async (entry) => ({ ...entry, command: await entry.load() })),
);
const pages = manualPages(loaded, '1.2.3');
const hasMandoc = spawnSync('mandoc', ['-T', 'lint'], { input: '' }).error === undefined;

test('there is a page a command, and one above them; the package lists them all', () => {
  expect(pages.map(({ file }) => file)).toEqual(manualFiles(commands));
  const manifest = JSON.parse(
    readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
  ) as { readonly man: readonly string[] };
  expect(manifest.man).toEqual(manualFiles(commands).map((file) => `./dist/man/${file}`));
});

describe.skipIf(!hasMandoc)('mandoc', () => {
  test.each(pages)('finds nothing wrong in $file', ({ source }) => {
    const { stdout } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning'], {
      input: source,
      encoding: 'utf8',
    });
    // The date is left out: a page that is made anew would change every day.
    expect(stdout.split('\n').filter((line) => line !== '' && !line.includes('date'))).toEqual([]);
  });

  test('shows every option with what it does', () => {
    for (const { name, command } of loaded) {
      const source = pages.find(({ file }) => file === `wayward-${name}.1`)?.source ?? '';
      const shown = spawnSync('mandoc', ['-T', 'ascii', '-O', 'width=400'], {
        input: source,
        encoding: 'utf8',
      }).stdout;
      // What is bold is printed twice.
      const text = shown.replace(/.[\b]/g, '').replace(/\s+/g, ' ');
      for (const option of command.options) {
        expect(text).toContain(`--${flagsOf(option).word}`);
        expect(text).toContain(option.help.replace(/\s+/g, ' '));
      }
      for (const [line] of command.examples) expect(text).toContain(line.replace(/\s+/g, ' '));
    }
  });
});
