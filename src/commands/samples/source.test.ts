import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { CodeCache } from '../../flow/code-cache.ts';
import { ImageStore } from '../../image/image-store.ts';
import { readSample } from '../../trace/sample.ts';
import { settleLearn } from '../training/options.ts';
import { TrainingReader } from '../training/windows/reader.ts';
import { openSample, readingOf, sourceFilter, sourceOfRun } from './source.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-source-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Ret by TIP after an overflow that took the place of the rest of a CYC (SKD007). */
function sample(): string {
  const path = join(folder, 'sample');
  mkdirSync(join(path, 'bin'), { recursive: true });
  writeFileSync(join(path, 'bin', 'code.bin'), Buffer.alloc(4096, 0xc3));
  writeFileSync(join(path, 'mapping.txt'), '100000-101000 r-xp 00000000 00:00 0 /x/code.bin\n');
  writeFileSync(join(path, 'info.txt'), 'x\nbenign\n');
  const psb = Array.from({ length: 16 }, (_, i) => (i % 2 ? 0x82 : 0x02));
  const packets = [psb, [0x99, 1, 2, 0x23], [0x71, 0, 0, 0x10, 0, 0, 0], [0x07, 2, 0xf3]];
  packets.push([0x7d, 0, 0, 0x10, 0, 0, 0], [0x2d, 1, 0], [0x2d, 2, 0]);
  writeFileSync(join(path, 'trace_0'), Uint8Array.from(packets.flat()));
  return path;
}

test('the processor that is named reaches whoever decodes', async () => {
  const path = sample();
  const images = new ImageStore([join(path, 'bin')], { rawImages: true });
  const seen: (number | undefined)[][] = [];
  for (const cpu of [undefined, '6/94/3']) {
    // As `learn` writes it to the record of its run, and a judge reads it there.
    const source = sourceOfRun({ ...settleLearn({ root: folder, ...(cpu ? { cpu } : {}) }) });
    expect(source.cpu).toBe(cpu);
    const codeCache = new CodeCache();
    const traces = { images, codeCache, ...readingOf(source) };
    const [trace] = await openSample(await readSample(path), traces);
    const summary = await trace?.source.run(() => {});
    codeCache.dispose();
    const reader = new TrainingReader({
      ...{ binDirs: [join(path, 'bin')], rawImages: true, ...readingOf(source) },
      ...{ windowLength: 4, filter: sourceFilter('trace', ['ret']), timeout: undefined },
      partSize: 100,
    });
    const end = await reader.read(await readSample(path), () => {});
    reader.dispose();
    seen.push([summary?.overflows, summary?.blocks, 'blocks' in end ? end.blocks : -1]);
  }
  // Without the erratum the CYC ends a byte later, and the FUP of the overflow is that of an interrupt.
  expect(seen).toEqual([
    [0, 1, 1],
    [1, 2, 2],
  ]);
});
