import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ImageStore } from './image-store.ts';

test('a folder or a pipe with the name of a library is no image', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wayward-'));
  try {
    mkdirSync(join(folder, 'liba.so'));
    spawnSync('mkfifo', [join(folder, 'libb.so')]);
    const images = new ImageStore([folder]);
    expect(await images.find('/usr/lib/liba.so')).toBeUndefined();
    expect(await images.find('/usr/lib/libb.so')).toBeUndefined();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
