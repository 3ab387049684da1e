import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { imagePlace } from '../../../base/text/image-place.ts';
import { addKnownPlaces, readKnownPlaces, toReason } from './known-places.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-known-'));

test('places come back, whatever programs call their files and people give as reasons', async () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1 });
  const forged = fc.constant('a+0x1>b+0x2  2026-11-29  forged\nc+0x1>d+0x2  2026-11-29  too');
  let count = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.oneof(name, forged), name, fc.string()), { maxLength: 5 }),
      async (places) => {
        const path = join(folder, `list-${count++}`);
        const known = places.map(([from, to, reason], i) => ({
          fingerprint: `${imagePlace(from, i)}>${imagePlace(to, 0x10)}`,
          date: '2026-11-29',
          reason: toReason(`x ${reason}`),
        }));
        await addKnownPlaces(path, known.slice(0, 2));
        await addKnownPlaces(path, known.slice(2));
        expect(await readKnownPlaces(path)).toEqual(known);
      },
    ),
    { numRuns: 50, seed: 1 },
  );
});

test.each([
  ['tabs without end', `a${'\t'.repeat(1e6)}2026-11-2`],
  ['half places without end', 'a+0x1>'.repeat(200_000)],
  ['a word without end', 'a'.repeat(1e6)],
  ['spaces in front of nothing', `a+0x1>b+0x2${' '.repeat(1e6)}x`],
])('%s are refused in no time, with their line', async (_, line) => {
  const path = join(folder, 'hostile');
  writeFileSync(path, `# a list\n${line}\n`);
  const before = process.cpuUsage();
  await expect(readKnownPlaces(path)).rejects.toThrow(/^.*hostile: line 2: /);
  expect(process.cpuUsage(before).user).toBeLessThan(2e6);
});

test('a reason is words, or none', () => {
  expect(toReason(' new\n\u001b[31mfonts\u0000 ')).toBe('new [31mfonts');
  expect(toReason(' \n\u200b')).toBe('');
});
