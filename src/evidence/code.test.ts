import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AddressSpace, Section } from '../image/address-space.ts';
import { CodeFacts } from './code.ts';
import { readImageFunctions } from './elf-functions.ts';

const bin = '../shared/data/pdftotext/bin';
const base = 0x7f00_0000_0000;

/** Maps libz as its program headers say (readelf -lW). */
function libz(): AddressSpace {
  const bytes = readFileSync(`${bin}/libz.so.1.2.13`);
  const segments = [
    { address: 0x0, offset: 0x0, size: 0x2280, isExecutable: false },
    { address: 0x3000, offset: 0x3000, size: 0x1200d, isExecutable: true },
    { address: 0x16000, offset: 0x16000, size: 0x63c8, isExecutable: false },
    { address: 0x1dc70, offset: 0x1cc70, size: 0x518, isExecutable: false },
  ];
  const image = {};
  const sections = segments.map(
    ({ address, offset, size, isExecutable }): Section => ({
      start: base + address,
      end: base + address + size,
      bytes: bytes.subarray(offset, offset + size),
      module: 0,
      isExecutable,
      image,
      imageOffset: offset,
    }),
  );
  const find = (address: number): Section | undefined =>
    sections.find((section) => address >= section.start && address < section.end);
  return {
    modules: [{ path: '/lib/libz.so.1', name: 'libz.so.1', base }],
    sections,
    find,
    moduleAt: (address) => (find(address) === undefined ? -1 : 0),
    isExecutable: (address) => find(address)?.isExecutable,
    symbolAt: () => undefined,
    isFunctionEntry: () => undefined,
    missing: [],
    flat: [],
  };
}

// Expected: readelf --debug-dump=frames, -rW, --dyn-syms, and objdump -d (binutils 2.40).
describe.skipIf(!existsSync(bin))('functions of libz, against binutils', () => {
  const space = existsSync(bin) ? libz() : undefined;
  const facts = (): CodeFacts => new CodeFacts(space!);

  test('every range with unwind information', () => {
    const runs = space!.sections.map(({ start, bytes, isExecutable }) => ({
      offset: start - base,
      bytes,
      isExecutable,
    }));
    const functions = readImageFunctions(runs)!;
    expect(functions.starts.length).toBe(123);
    expect([...functions.starts.subarray(0, 3)]).toEqual([0x3020, 0x3330, 0x3400]);
    expect(functions.exported.get(0xc1e0)).toEqual(['inflate']);
    expect(functions.exported.get(0x47c0)).toEqual(['crc32']);
  });

  test.each([
    [0xc1e0, true, 'exported', 'inflate'],
    [0x50d0, true, 'referenced', 'a relocation in the data holds it'],
    [0x5d80, true, 'referenced', 'another one'],
    [0x3030, true, 'unreferenced', 'the first linkage stub after the resolver'],
    [0xc1e4, false, 'unreferenced', 'inside inflate'],
  ])('entry and reachability of %s', (offset, isEntry, reachability) => {
    expect(facts().isFunctionEntry(base + offset)).toBe(isEntry);
    expect(facts().reachability(base + offset)).toBe(reachability);
  });

  test('tables of functions are read as they stand in the data', () => {
    // readelf -rW: 0x1dc70 holds 33f0, 0x1dc78 33b0 right behind it; 50d0 at 0x1dc88 stands alone.
    const slots = [0, 1, 2].map((slot) => facts().hasSlot(base + 0x33b0, slot));
    expect(slots).toEqual([false, true, false]);
    expect(facts().hasSlot(base + 0x33f0, 0)).toBe(true);
    expect(facts().hasSlot(base + 0x50d0, 0)).toBe(true);
    expect(facts().hasSlot(base + 0xc1e0, 0)).toBe(false);
    expect(facts().hasSlot(1, 0)).toBeUndefined();
    expect(facts().addressIn('libz.so.1', 0x10)).toBe(base + 0x10);
  });

  test('addresses belong to the function before them', () => {
    expect(facts().functionStart(base + 0x940e)).toBe(base + 0x9340);
    expect(facts().functionStart(base + 0x9340)).toBe(base + 0x9340);
  });

  test('instructions start where objdump says', () => {
    const starts = [0x93e9, 0x93ee, 0x93f1, 0x93f6, 0x93fb, 0x93fe, 0x9400, 0x9407, 0x940b, 0x940e];
    for (let offset = 0x93e9; offset <= 0x940e; offset++) {
      expect(facts().isInstructionStart(base + offset)).toBe(starts.includes(offset));
    }
  });

  test('the switch of inflateBack leads to the places in its table', () => {
    const site = base + 0x940e;
    const table = [0x95b0, 0x9638, 0x9410, 0x9410];
    for (const target of table) expect(facts().isSwitchTarget(site, base + target)).toBe(true);
    expect(facts().isSwitchTarget(site, base + table[0] + 1)).toBe(false);
  });

  test('outside the images nothing is known', () => {
    expect(facts().functionStart(1)).toBeUndefined();
    expect(facts().isFunctionEntry(base + 0x9000_0000)).toBeUndefined();
    expect(facts().reachability(1)).toBeUndefined();
    expect(facts().isInstructionStart(1)).toBeUndefined();
  });
});

describe('an image that is none', () => {
  test('of any bytes says nothing, and does not fail', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (bytes, isElf) => {
        const image = Uint8Array.from(bytes);
        if (isElf) image.set([0x7f, 0x45, 0x4c, 0x46, 2].slice(0, image.length));
        readImageFunctions([{ offset: 0, bytes: image, isExecutable: true }]);
      }),
      { numRuns: 300, seed: 3 },
    );
  });
});
