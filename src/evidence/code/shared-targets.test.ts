import { existsSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { AddressSpace } from '../../image/address-space.ts';
import { ImageStore } from '../../image/image-store.ts';
import { buildAddressSpace } from '../../image/mapped-space.ts';
import { RegionTable } from '../../image/maps/region-table.ts';
import { Transfer } from '../../x86/transfer.ts';
import { AllowedTargets } from './allowed-targets.ts';
import { ImageCodeCache, ProcessCode } from './process-code.ts';
import { SharedTargets } from './shared-targets.ts';

const libc = '/lib/x86_64-linux-gnu/libc.so.6';
const loader = '/lib64/ld-linux-x86-64.so.2';
const paths = [libc, loader].filter((path) => existsSync(path)).map((path) => realpathSync(path));
const size = 0x1000_0000;

function mapAt(store: ImageStore, places: readonly (readonly [string, number])[]) {
  const regions = places.map(([path, start]) => ({
    ...{ start, end: start + size, path, isExecutable: undefined, fileOffset: undefined },
  }));
  const process = { pid: undefined, name: '' };
  return buildAddressSpace(
    { format: 'ldrmodules', process, regions: RegionTable.of(regions) },
    store,
  );
}

/** Some indirect calls and jumps of a process. */
function sitesIn(code: ProcessCode, space: AddressSpace): number[] {
  const found: number[] = [];
  for (const [module, image] of code.images.entries()) {
    const { bias } = code.imageOf(module)!;
    for (const [i, start] of (image?.ranges.starts ?? []).entries()) {
      const flow = i % 20 === 0 ? image?.sites.flowAt(start) : undefined;
      flow?.flow.starts.forEach((at, index) => {
        const kind = flow.flow.kinds[index];
        if (kind !== Transfer.icall && kind !== Transfer.ijmp) return;
        found.push(flow.start + at + bias);
      });
    }
  }
  expect(found.every((site) => space.moduleAt(site) >= 0)).toBe(true);
  return found;
}

describe.skipIf(paths.length < 2)('what code allows, found out once for all processes', () => {
  test('is the same wherever images lie', async () => {
    const store = new ImageStore([...new Set(paths.map((path) => dirname(path)))]);
    const cache = new ImageCodeCache();
    const near = [paths[0]!, 0x5000_0000_0000] as const;
    const first = await mapAt(store, [near, [paths[1]!, 0x7000_0000_0000]]);
    const second = await mapAt(store, [near, [paths[1]!, 0x6000_0012_3000]]);
    new SharedTargets(new ProcessCode(first, cache));
    const code = new ProcessCode(second, cache);
    const shared = new SharedTargets(code);
    const own = new AllowedTargets(new ProcessCode(second));
    const sites = sitesIn(code, second);
    expect(sites.length).toBeGreaterThan(50);
    expect(shared.translated(0x6000_0012_3010)).toBe(0x7000_0000_0010);
    const targets = [...sites.slice(0, 40), 0x7000_0000_0010, 0x1234];
    for (const section of second.sections) targets.push(section.start + 64);
    for (const { bias, code: image } of [code.imageOf(0)!, code.imageOf(1)!]) {
      for (const entry of image.pointerTargets.taken.subarray(0, 40)) targets.push(entry + bias);
    }
    for (const site of sites) {
      const expected = own.at(site);
      const found = shared.at(shared.translated(site));
      expect(found?.mechanism).toBe(expected?.mechanism);
      const sizes = ({ name, count }: { name: string; count: number }): string =>
        `${name} ${count}`;
      expect(found?.classes.map(sizes)).toEqual(expected?.classes.map(sizes));
      for (const target of targets) {
        const narrowest = expected?.classes.find(({ has }) => has(target))?.name;
        const place = shared.translated(target);
        for (const _ of [1, 2]) {
          expect(shared.narrowest(shared.translated(site), place)?.name).toBe(narrowest);
        }
      }
    }
  });

  test('is not shared by processes that map other images', async () => {
    const store = new ImageStore([...new Set(paths.map((path) => dirname(path)))]);
    const cache = new ImageCodeCache();
    const both = new ProcessCode(
      await mapAt(
        store,
        paths.map((path, i) => [path, (i + 1) * size]),
      ),
      cache,
    );
    const one = new ProcessCode(await mapAt(store, [[paths[0]!, size]]), cache);
    expect(both.firstWithTheseImages).toBe(both);
    expect(one.firstWithTheseImages).toBe(one);
    const again = new ProcessCode(await mapAt(store, [[paths[0]!, 5 * size]]), cache);
    expect(again.firstWithTheseImages).toBe(one);
  });
});
