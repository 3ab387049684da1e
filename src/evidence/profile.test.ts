import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exampleStream } from '../../test/evidence-example.ts';
import { Transfer } from '../x86/transfer.ts';
import { TransferProfile } from './profile.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wayward-'));
});
afterEach(() => rm(directory, { recursive: true }));

const { blocks } = exampleStream([
  { at: 0x10, kind: Transfer.icall },
  { at: 0x100, kind: Transfer.ret },
  { at: 0x200, kind: Transfer.ret },
  { at: 0x700000, kind: Transfer.ret, module: -1 },
]);
const site = 'program+13';

function trained(): TransferProfile {
  const profile = new TransferProfile();
  for (let i = 0; i < 9; i++) profile.add({ blocks, sites: [0, 0], targets: [1, 1] });
  profile.add({ blocks, sites: [0, 0], targets: [1, 2] });
  return profile;
}

describe('transfer profile', () => {
  test('knows what training did, wherever modules were loaded', () => {
    expect(trained().traces).toBe(10);
    expect(trained().novelty(site, 'program+100')).toBeUndefined();
    expect(trained().novelty(site, 'program+200')).toBeUndefined();
  });

  test('knows transfers between blocks as it knows their places', () => {
    const profile = trained();
    expect([0, 1, 2, 3].map((to) => profile.knows(blocks, 0, to))).toEqual([
      false,
      true,
      true,
      false,
    ]);
    expect(profile.knows(blocks, 1, 1)).toBe(false);
    profile.add({ blocks, sites: [1], targets: [1] });
    expect(profile.knows(blocks, 1, 1)).toBe(true);
  });

  test('says how new a transfer is: one of ten traces brought a target seen once', () => {
    const novelty = trained().novelty(site, 'program+300');
    expect(novelty).toMatchObject({ traces: 10, isKnownTarget: false });
    expect(novelty?.surprise).toBeCloseTo(-Math.log(1.5 / 11), 12);
    expect(trained().novelty('program+99', 'program+200')).toEqual({
      traces: 0,
      surprise: 0,
      isKnownTarget: true,
    });
  });

  test('counts a trace once, however often it makes a transfer', () => {
    const profile = new TransferProfile();
    profile.add({ blocks, sites: [0, 0, 0], targets: [1, 1, 1] });
    expect(profile.novelty(site, 'program+200')?.surprise).toBeCloseTo(-Math.log(1.5 / 2), 12);
  });

  test('saved and loaded says the same', async () => {
    const path = join(directory, 'profile.json.gz');
    await trained().save(path);
    const again = await TransferProfile.load(path);
    expect(again.traces).toBe(10);
    for (const target of ['program+100', 'program+200', 'program+300', '?']) {
      expect(again.novelty(site, target)).toEqual(trained().novelty(site, target));
    }
  });

  test.each([
    ['', 'no transfer profile'],
    ['null', 'no transfer profile of version 1'],
    ['{"format":"wayward-transfers","version":2,"sites":[]}', 'of version 1'],
    ['{"format":"wayward-transfers","version":1,"sites":[]}', 'how many traces'],
    ['{"format":"wayward-transfers","version":1,"traces":1,"sites":[7]}', 'a site that is none'],
    [
      '{"format":"wayward-transfers","version":1,"traces":1,"sites":[["a",1,{"b":-1}]]}',
      'a site that is none',
    ],
  ])('%s is refused', async (text, message) => {
    const path = join(directory, 'profile.json.gz');
    await writeFile(path, gzipSync(text));
    await expect(TransferProfile.load(path)).rejects.toThrow(message);
  });

  test('that is cut off is refused', async () => {
    const path = join(directory, 'profile.json.gz');
    await writeFile(path, gzipSync('{"format":"wayward-transfers"}').subarray(0, 20));
    await expect(TransferProfile.load(path)).rejects.toThrow('is no transfer profile');
  });
});
