import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CodeCache } from '../flow/code-cache.ts';
import { ImageStore } from '../image/image-store.ts';
import { openTraces } from '../trace/open-trace.ts';
import { readSample } from '../trace/sample.ts';

const corpus = fileURLToPath(new URL('../../examples/corpus', import.meta.url));

describe('the corpus of examples', () => {
  it('decodes to the blocks that its truth files count, without damage', async () => {
    const images = new ImageStore([join(corpus, 'bin')], { rawImages: false });
    const codeCache = new CodeCache();
    const names = await readdir(join(corpus, 'traces'));
    expect(names.length).toBeGreaterThanOrEqual(199);
    for (const name of names) {
      const truth = JSON.parse(await readFile(join(corpus, 'truth', `${name}.json`), 'utf8'));
      const sample = await readSample(join(corpus, 'traces', name));
      const [{ source, missing }] = await openTraces(sample, {
        images,
        codeCache,
        preprocessed: false,
      });
      const { blocks } = await source.run(() => {});
      const reasons = source.marks.map((mark) => (mark.kind === 'gap' ? mark.reason : mark.kind));
      expect(missing).toEqual([]);
      // Shellcode lies in no image: the trace has no blocks there.
      const isShellcode = truth.family === 'shellcode';
      expect([name, [...new Set(reasons)]]).toEqual([name, isShellcode ? ['no-code'] : []]);
      if (isShellcode) expect(blocks).toBeLessThan(truth.blocks);
      else expect([name, blocks]).toEqual([name, truth.blocks]);
    }
    codeCache.dispose();
  });
});
