import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { CodeCache } from '../flow/code-cache.ts';
import { ImageStore } from '../image/image-store.ts';
import { instructionsOf, lastInstructionOf } from './block-text.ts';
import { openTraces } from './open-trace.ts';
import { readSample } from './sample.ts';
import { writeStoredTrace } from './stored-trace-writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'wayward-text-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const psb = Array.from({ length: 16 }, (_, i) => (i % 2 ? 0x82 : 0x02));
const psbend = [0x02, 0x23];
const base = 0x10_0000;

/** 48 ff c0: inc rax, or dec eax, inc eax; 41 ff d4: call r12, or inc ecx, call esp. */
const code = [0x48, 0xff, 0xc0, 0x41, 0xff, 0xd4];

/** A sample of a raw image below 4 GiB, which has no header that says what its code is. */
async function textsOf(
  name: string,
  modes: readonly number[],
  isStored: boolean,
  other?: Uint8Array,
): Promise<string[][]> {
  const sample = join(folder, name);
  const bin = join(sample, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(
    join(bin, 'code.bin'),
    Uint8Array.from({ length: 4096 }, (_, i) => code[i] ?? 0x90),
  );
  if (other !== undefined) writeFileSync(join(bin, 'other'), other);
  writeFileSync(
    join(sample, 'mapping.txt'),
    `100000-101000 r-xp 00000000 00:00 0 /x/code.bin\n${
      other === undefined ? '' : '200000-201000 r-xp 00000000 00:00 0 /x/other\n'
    }`,
  );
  writeFileSync(join(sample, 'info.txt'), 'x\nbenign\n');
  const enable = [0x71, 0, 0, base >> 16, 0, 0, 0];
  const packets = modes.length === 0 ? [[]] : modes.map((mode) => [0x99, mode]);
  const trace = packets.flatMap((mode) => [...psb, ...mode, ...psbend, ...enable, 0x01]);
  writeFileSync(join(sample, 'trace_0'), Uint8Array.from(trace));
  const images = new ImageStore([bin], { rawImages: true });
  const codeCache = new CodeCache();
  const open = async (preprocessed: boolean) => {
    const [found] = await openTraces(await readSample(sample), { images, codeCache, preprocessed });
    if (found === undefined) throw new Error('there is no trace');
    return found;
  };
  let opened = await open(false);
  const { space } = opened;
  if (isStored) {
    await writeStoredTrace(join(sample, 'trace_0.wayward'), opened.source);
    opened = await open(true);
  }
  const texts: string[][] = [];
  const { source } = opened;
  await source.run(({ entries, length }) => {
    for (const block of entries.subarray(0, length)) {
      if (block < 0) continue;
      const all = instructionsOf(source.blocks, block, space).map(({ text }) => text);
      expect(lastInstructionOf(source.blocks, block, space)).toBe(all.at(-1));
      texts.push(all);
    }
  });
  codeCache.dispose();
  return texts;
}

const as64 = ['inc rax', 'call r12'];
const as32 = ['dec eax', 'inc eax', 'inc ecx', 'call esp'];
const as16 = ['dec ax', 'inc ax', 'inc cx', 'call sp'];

test.each([false, true])(
  'code is what MODE.Exec says, wherever it lies; stored: %s',
  async (stored) => {
    expect(await textsOf(`a${stored}`, [1], stored)).toEqual([as64]);
    expect(await textsOf(`b${stored}`, [2], stored)).toEqual([as32]);
    // A process may change its mode, and one address be code of several.
    expect(await textsOf(`c${stored}`, [2, 1, 0], stored)).toEqual([as32, as64, as16]);
  },
);

test('without MODE.Exec it is what the headers of the process say', async () => {
  const elf = (bits: 1 | 2): Uint8Array => {
    const header = Buffer.alloc(64);
    header.write('\x7fELF', 'latin1');
    header[4] = bits;
    header[5] = 1;
    header[6] = 1;
    header.writeUInt16LE(3, 16);
    header.writeUInt16LE(bits === 1 ? 3 : 62, 18);
    header.writeUInt32LE(1, 20);
    header.writeUInt16LE(bits === 1 ? 52 : 64, bits === 1 ? 40 : 52);
    return header;
  };
  expect(await textsOf('d', [], false)).toEqual([as64]);
  expect(await textsOf('e', [], false, elf(1))).toEqual([as32]);
  expect(await textsOf('f', [], false, elf(2))).toEqual([as64]);
  expect(await textsOf('g', [1], false, elf(1))).toEqual([as64]);
});
