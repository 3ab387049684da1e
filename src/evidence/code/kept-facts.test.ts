import { existsSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Random } from '../../base/random.ts';
import { ImageStore } from '../../image/image-store.ts';
import { buildAddressSpace } from '../../image/mapped-space.ts';
import { RegionTable } from '../../image/maps/region-table.ts';
import { Transfer } from '../../x86/transfer.ts';
import { ImageCodeCache, ProcessCode } from './process-code.ts';
import { sitesIn } from './site-answers.ts';
import { areAscending, type KeptFacts } from './tables/kept-facts.ts';

const loader = '/lib64/ld-linux-x86-64.so.2';

/** Keeps facts in memory, and the names of what was written. */
class Memory implements KeptFacts {
  readonly lists: Map<string, readonly Float64Array[]> = new Map();
  readonly written: string[] = [];

  read(_: Uint8Array, name: string): readonly Float64Array[] | undefined {
    return this.lists.get(name);
  }

  write(_: Uint8Array, name: string, lists: readonly Float64Array[]): void {
    this.written.push(name);
    this.lists.set(name, lists);
  }
}

async function loaderCode(kept?: KeptFacts) {
  const path = realpathSync(loader);
  const start = 0x7000_0000_0000;
  const region = { start, end: start + 0x1000_0000, path };
  const regions = RegionTable.of([{ ...region, isExecutable: undefined, fileOffset: undefined }]);
  const process = { pid: undefined, name: '' };
  const space = await buildAddressSpace(
    { format: 'ldrmodules', process, regions },
    new ImageStore([dirname(path)]),
  );
  return new ProcessCode(space, new ImageCodeCache(kept)).images[0]!;
}

describe.skipIf(!existsSync(loader))('what was found out about an image before', () => {
  test('is what would be found out now', async () => {
    const kept = new Memory();
    const plain = await loaderCode();
    for (let round = 0; round < 2; round++) {
      const code = await loaderCode(kept);
      expect(code.references).toEqual(plain.references);
      expect(code.pointerTargets.takenByReads).toEqual(plain.pointerTargets.takenByReads);
      expect(kept.written).toEqual(['references', 'reads']);
    }
    expect(plain.references.taken.length).toBeGreaterThan(10);
    expect(plain.pointerTargets.takenByReads[6]).toBeGreaterThan(10);
  });

  test('says what sites say, those that nobody asked about before, too', async () => {
    const plain = await loaderCode();
    const kept = new Memory();
    const sites: number[] = [];
    for (const start of plain.ranges.starts) {
      const found = plain.sites.flowAt(start);
      found?.flow.starts.forEach((at, index) => {
        const kind = found.flow.kinds[index];
        if (kind === Transfer.icall || kind === Transfer.ijmp) sites.push(found.start + at);
      });
    }
    expect(sites.length).toBeGreaterThan(50);
    for (const [round, asked] of [sites.slice(0, 40), sites, sites].entries()) {
      const code = await loaderCode(kept);
      for (const site of asked) expect(code.sites.at(site)).toEqual(plain.sites.at(site));
      code.keep();
      const written = kept.written.filter((name) => name === 'sites');
      expect(written).toHaveLength(Math.min(2, round + 1));
    }
    // Damage makes answers that could be some, or none; nothing throws.
    const [list] = kept.lists.get('sites')!;
    const random = new Random(4);
    for (let round = 0; round < 500; round++) {
      const damaged = list!.slice(
        0,
        random.below(3) === 0 ? random.below(list!.length) : undefined,
      );
      const value = [Number.NaN, -1, 0.5, 1e300, random.below(1000)][random.below(5)]!;
      if (damaged.length > 0) damaged[random.below(damaged.length)] = value;
      for (const { targets, slots, argument = 0 } of sitesIn(damaged)?.values() ?? []) {
        expect(areAscending(targets) && slots.every(Number.isFinite) && argument < 16).toBe(true);
      }
    }
  });

  test('is not believed where it cannot be right', async () => {
    const plain = await loaderCode();
    const some = Float64Array.of(1, 2);
    const wrong: readonly (readonly Float64Array[])[] = [
      [],
      [some, some],
      [some, some, Float64Array.of(2, 1)],
      [some, some, Float64Array.of(Number.NaN)],
      [Float64Array.of(1, 1, 1, 1, 1, 1, 0)],
      [Float64Array.of(0, 0, 0, 0, 0, 0, 0.5)],
    ];
    for (const lists of wrong) {
      const kept = new Memory();
      kept.lists.set('references', lists).set('reads', lists);
      const code = await loaderCode(kept);
      expect(code.references).toEqual(plain.references);
      expect(code.pointerTargets.takenByReads).toEqual(plain.pointerTargets.takenByReads);
    }
  });

  test('stands in order, each once', () => {
    expect(areAscending(Float64Array.of(0, 1, 5))).toBe(true);
    expect(areAscending(Float64Array.of(-1))).toBe(false);
    expect(areAscending(Float64Array.of(3, 3))).toBe(false);
  });
});
