import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { imagesBeside } from '../../capture/record.ts';
import { layoutOf } from './layout.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-layout-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

for (const sample of ['root/traces/one', 'root/traces/more/two', 'loose/one']) {
  mkdirSync(join(folder, sample), { recursive: true });
  writeFileSync(join(folder, sample, 'info.txt'), 'document\nbenign\n');
}
for (const images of ['root/bin', 'loose/bin']) mkdirSync(join(folder, images));
mkdirSync(join(folder, 'bare/one'), { recursive: true });

describe('samples and images', () => {
  test.each([
    ['root', 'root/traces', 'root/bin'],
    ['root/traces', 'root/traces', 'root/bin'],
    ['root/traces/one', 'root/traces/one', 'root/bin'],
    ['root/traces/more', 'root/traces/more', 'root/bin'],
    ['root/traces/gone', 'root/traces/gone', 'root/bin'],
    ['loose', 'loose', 'loose/bin'],
    ['loose/one', 'loose/one', 'loose/bin'],
    ['bare', 'bare', undefined],
    ['bare/one', 'bare/one', undefined],
  ])('of %s', (path, samples, images) => {
    const binDirs = images === undefined ? [] : [join(folder, images)];
    expect(layoutOf(join(folder, path), [])).toEqual({ samples: join(folder, samples), binDirs });
  });

  test('folders that were named count instead', () => {
    const asked = layoutOf(join(folder, 'root'), ['/images']);
    expect(asked).toEqual({ samples: join(folder, 'root/traces'), binDirs: ['/images'] });
  });

  test.each(['root/traces/one', 'loose/one'])('are where record puts those of %s', (sample) => {
    const path = join(folder, sample);
    expect(layoutOf(path, []).binDirs).toEqual([imagesBeside(path)]);
  });
});
