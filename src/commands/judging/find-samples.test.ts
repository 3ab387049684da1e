import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { silentLogger } from '../../base/log.ts';
import { findSamplesAt } from './find-samples.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-find-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a path that cannot be looked at is left out by name, and the others are found', async () => {
  const loop = join(folder, 'loop');
  symlinkSync('loop', loop);
  const file = join(folder, 'file');
  writeFileSync(file, '');
  const sample = join(folder, 'sample');
  mkdirSync(sample);
  for (const name of ['mapping.txt', 'trace_0']) writeFileSync(join(sample, name), '');
  writeFileSync(join(sample, 'info.txt'), 'a\nbenign\n');
  const context = { log: silentLogger, progress: () => {} };
  const paths = [loop, file, join(folder, 'nowhere'), sample];
  const { samples, skipped } = await findSamplesAt(
    paths,
    [],
    { source: 'trace', process: undefined, preprocessed: false },
    context,
  );
  expect(samples.map(({ name }) => name)).toEqual(['sample']);
  expect(skipped.map(({ name, reason }) => [name, reason.replace(/^.*: /, '')])).toEqual([
    ['loop', 'it is a link that leads to itself'],
    ['file', 'it is no folder'],
    ['nowhere', 'there is no such folder'],
  ]);
});
