import { describe, expect, test } from 'vitest';
import { GrowingSpace } from './growing-space.ts';
import { HostImages } from './image-store.ts';
import { buildAddressSpace } from './mapped-space.ts';
import { parseMemoryMap } from './maps/memory-map.ts';

const node = process.execPath;
const first = `00400000-00401000 r-xp 00000000 00:00 0 ${node}\n`;
const lower = '00200000-00201000 r-xp 00000000 00:00 0 /not/here\n';

async function spaceOf(text: string): ReturnType<typeof buildAddressSpace> {
  return buildAddressSpace(parseMemoryMap(text, 'map'), new HostImages());
}

describe('an address space that grows', () => {
  test('keeps the numbers of its modules when others are mapped below them', async () => {
    const space = new GrowingSpace(await spaceOf(first));
    const before = space.moduleAt(0x400010);
    expect(space.modules[before]?.path).toBe(node);
    expect(space.grow(await spaceOf(lower + first))).toBe(true);
    expect(space.moduleAt(0x400010)).toBe(before);
    expect(space.modules[space.moduleAt(0x200010)]?.path).toBe('/not/here');
    expect(space.grow(await spaceOf(lower + first))).toBe(false);
    // What was gone for a while is there anew.
    expect(space.grow(await spaceOf(first))).toBe(false);
    expect(space.grow(await spaceOf(lower + first))).toBe(true);
    expect(space.find(0x400010)?.module).toBe(before);
    expect(space.missing).toEqual(['/not/here']);
  });

  test('has code that was made where it was made, and tells when other code takes its place', async () => {
    const space = new GrowingSpace(await spaceOf(first));
    expect(space.find(0x7000_0ffe)).toBeUndefined();
    // Over a border of pages.
    expect(space.make(0x7000_0ffe, Uint8Array.of(1, 2, 3, 4), 64)).toBe(false);
    const section = space.find(0x7000_0fff);
    expect(section).toMatchObject({ module: -1, isExecutable: true, bits: 64 });
    expect(section?.bytes[0x7000_1001 - (section?.start ?? 0)]).toBe(4);
    expect(space.moduleAt(0x7000_1000)).toBe(-1);
    expect(space.make(0x7000_0ffe, Uint8Array.of(1, 2), 64)).toBe(false);
    expect(space.make(0x7000_0ffe, Uint8Array.of(9), 64)).toBe(true);
  });

  test('keeps the rest of a page that was patched', async () => {
    const space = new GrowingSpace(await spaceOf(first));
    const own = Uint8Array.from(space.find(0x400000)?.bytes.subarray(0, 64) ?? []);
    space.make(0x400010, Uint8Array.of(0xcc), 64);
    const patched = space.find(0x400000);
    expect(patched?.bytes.subarray(0, 16)).toEqual(own.subarray(0, 16));
    expect(patched?.bytes[0x10]).toBe(0xcc);
  });

  test('keeps no more made code than there is room for', async () => {
    const space = new GrowingSpace(await spaceOf(first));
    // A page each, however far apart.
    for (let i = 0; i < 2 ** 14; i++) {
      expect(space.make(0x10_0000_0000 + i * 2 ** 20, Uint8Array.of(1), 64)).toBe(false);
    }
    expect(space.make(0x20_0000_0000, Uint8Array.of(1), 64)).toBe(true);
    expect(space.find(0x20_0000_0000)).toBeUndefined();
    expect(space.make(0x10_0000_0001, Uint8Array.of(2), 64)).toBe(false);
  });

  test('has all pages of a stretch in which code was made, in whatever order', async () => {
    const space = new GrowingSpace(await spaceOf(first));
    const pages = [5, 4, 9, 250, 0, 6];
    for (const page of pages) {
      expect(space.make(0x7000_0008 + page * 4096, Uint8Array.of(page + 1), 64)).toBe(false);
    }
    for (const page of pages) {
      const section = space.find(0x7000_0008 + page * 4096);
      const at = 0x7000_0008 + page * 4096 - (section?.start ?? 0);
      expect(section?.bytes[at]).toBe(page + 1);
    }
    // Neighbours are one.
    expect(space.find(0x7000_4000)).toMatchObject({ start: 0x7000_4000, end: 0x7000_7000 });
    expect(space.find(0x7000_8000)).toBeUndefined();
  });

  test('is copied for another map', async () => {
    const space = new GrowingSpace(await spaceOf(lower + first));
    space.make(0x7000_0000, Uint8Array.of(1), 64);
    const copy = space.copyFor(await spaceOf(lower + first));
    const section = copy.find(0x7000_0000);
    expect(section?.bytes[0]).toBe(1);
    expect(section?.bytes).not.toBe(space.find(0x7000_0000)?.bytes);
    expect(copy.moduleAt(0x200010)).toBe(0);
    space.make(0x7000_0000, Uint8Array.of(2), 64);
    expect(copy.find(0x7000_0000)?.bytes[0]).toBe(1);
  });
});
